"""What is printed: each figure says whether it was measured, calculated or estimated."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ollamazure.new.proposals import nearest, propose
from ollamazure.new.text import (
    WIDTH,
    describe_wishes,
    format_nearest,
    format_next_steps,
    format_proposals,
)
from ollamazure.new.wishes import Wishes
from tests.unit.ollamazure.new.test_proposals import WISHES

pytestmark = pytest.mark.unit


def proposals(**given: Any) -> str:
    wishes = Wishes(**given)
    return format_proposals(wishes, propose(wishes))


def test_each_proposal_has_every_figure_with_its_origin() -> None:
    text = proposals(**WISHES[0])
    blocks = re.split(r"\n(?=\d\. )", text)[1:]
    assert len(blocks) == 3
    for block in blocks:
        words = " ".join(block.split())
        assert re.search(r"machine \d+ vCPU, \d+ GiB", words)
        assert re.search(r"languages French \(named by its makers: https://", words)
        assert re.search(r"context \d+ tokens of a conversation", words)
        assert re.search(
            r"speed about [\d.]+ tokens/s for one person, [\d.]+ for each of 2 at once "
            r"\(estimated\)",
            words,
        )
        assert re.search(r"memory left [\d.]+ GiB of memory \(calculated\)", words)
        assert re.search(r"cost about \d+ USD a month \(estimated: .* not verified\)", words)
        assert re.search(r"licence bge-m3:567m: MIT", words)
    assert "No speed was measured on Azure." in text


def test_languages_that_the_makers_do_not_list_are_marked() -> None:
    text = " ".join(proposals(people=10, budget=400, languages=("cy",)).split())
    assert "Welsh (not verified: its makers claim many languages and name none" in text


def test_lines_fit_a_terminal_but_for_addresses_and_names() -> None:
    wishes = Wishes(people=500, budget=10, languages=("fr", "de", "it", "es"), documents=True)
    for text in (proposals(**WISHES[0]), format_nearest(wishes, nearest(wishes))):
        long = [line for line in text.splitlines() if len(line) > WIDTH]
        assert not [line for line in long if len(line.split()) > 3]


def test_what_nothing_meets_is_answered_with_costs() -> None:
    wishes = Wishes(people=500, budget=10)
    words = " ".join(format_nearest(wishes, nearest(wishes)).split())
    assert words.startswith("nothing fits, and nothing has been written. Wanted: a chat for 500")
    assert re.search(r"With a larger budget: about \d+ USD a month: \S+ on Standard_\S+ \(", words)
    assert "All of this is estimated: pay as you go" in words


def test_one_person_has_no_load() -> None:
    assert describe_wishes(Wishes(people=1, budget=50)).startswith("a chat for 1 person, 1 at once")
    assert "for each of" not in proposals(people=1, budget=50)


def test_the_next_steps_say_how_ssh_is_closed() -> None:
    unknown, known = (
        format_next_steps("team", "Pulumi.team.yaml", Wishes(people=1, budget=1, ssh_client=client))
        for client in (None, "203.0.113.7")
    )
    set_it = "pulumi config set --path 'ollamazure:sshClients[0]' '<your address>/32' --stack team"
    assert set_it.replace("'<your address>/32'", "<your address>/32") in unknown
    assert "SSH is open to no address until you set yours" in unknown
    assert "sshClients" not in known
    assert "SSH will be open to 203.0.113.7/32 only" in known
    assert "bin/ollamazure preflight --stack team" in known
