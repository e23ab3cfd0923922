"""Wishes: what is understood, the defaults, and every problem at once."""

from __future__ import annotations

from typing import Any

import pytest

from ollamazure import catalog
from ollamazure.new.wishes import OPTIONS, WishError, Wishes, from_text, problems_of, read
from ollamazure.settings import schema
from tests.tiers import first_of

pytestmark = pytest.mark.unit

LEAST = {"people": "20", "budget": "300"}


def test_only_people_and_budget_have_no_default() -> None:
    wishes = read(LEAST)
    assert wishes == Wishes(people=20, budget=300)
    assert (wishes.people_at_once, wishes.languages, wishes.location) == (
        2,
        ("en",),
        "francecentral",
    )
    assert (wishes.documents, wishes.gpu, wishes.ssh_client) == (False, "either", None)
    with pytest.raises(WishError) as error:
        read({})
    assert [line for line in str(error.value).splitlines() if line[0].isdigit()] == [
        "2 problems; nothing has been written.",
        "1. --people is not set.",
        "2. --budget is not set.",
    ]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    first_of(
        [
            ("languages", "French,german, pt-BR,fr", ("fr", "de", "pt")),
            ("languages", "français", ("fr",)),
            ("languages", "norwegian", ("no",)),
            ("documents", "Y", True),
            ("documents", "no", False),
            ("gpu", "N", "no"),
            ("location", "West Europe", "westeurope"),
            ("sshClient", " 203.0.113.7 ", "203.0.113.7/32"),
            ("atOnce", "20", 20),
        ]
    ),
)
def test_answers_are_understood_as_people_write_them(key: str, text: str, value: Any) -> None:
    wishes = read({**LEAST, key: from_text(key, text)})
    assert wishes.model_dump(by_alias=True)[key] == value


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    first_of(
        [
            ("languages", "klingon", "has no such language."),
            ("languages", "frensh", "has no such language, did you mean French?"),
            ("languages", ",", "the list is empty"),
            ("people", "0", "it is too small"),
            ("people", "5001", "it is too large"),
            ("people", "many", "it is not a whole number"),
            ("people", "2.5", "it is not a whole number"),
            ("budget", "-1", "it is too small"),
            ("location", "mars", "there is no such region of Azure's public cloud"),
            ("location", "francecentrl", "did you mean francecentral?"),
            ("documents", "perhaps", "it is not one of the choices"),
            ("gpu", "big", "it is not one of the choices"),
            ("sshClient", "chat.example.com", "it is neither an IPv4 address nor a range"),
            ("sshClient", "2001:db8::1", "no IPv6 client reaches it"),
            ("sshClient", "0.0.0.0/0", "it opens SSH to the whole internet"),
        ]
    ),
)
def test_an_impossible_wish_is_named_with_its_reason(key: str, text: str, reason: str) -> None:
    (problem,) = problems_of({**LEAST, key: from_text(key, text)})
    assert problem.where == OPTIONS[key]
    assert reason in problem.what
    assert problem.fix.startswith(OPTIONS[key] + " ")
    # What the fix says is allowed.
    fixed = problem.fix.split(" ", 1)[1].strip("'")
    assert not problems_of({**LEAST, key: from_text(key, fixed)})


def test_more_people_at_once_than_people() -> None:
    (problem,) = problems_of({**LEAST, "atOnce": "21"})
    assert problem.where == "--at-once"
    assert problem.what == '= "21" is not allowed: there are 20 people.'
    assert problem.fix == "--at-once 2"


def test_all_problems_are_reported_at_once() -> None:
    wrong = {"people": "500", "atOnce": "501", "languages": ["klingon", "fr", "elvish"],
             "location": "mars", "gpu": "x"}  # fmt: skip
    where = [problem.where for problem in problems_of(wrong)]
    assert where == ["--language", "--language", "--location", "--budget", "--gpu", "--at-once"]
    assert "--budget" not in [problem.where for problem in problems_of(wrong, complete=False)]


def test_every_wish_has_an_option_and_a_question() -> None:
    fields = dict(schema.fields_of(Wishes))
    assert fields.keys() == OPTIONS.keys()
    assert all(field.description for field in fields.values())


def test_every_language_is_found_by_each_of_its_names() -> None:
    for code, names in catalog.languages().items():
        found = read({**LEAST, "languages": [code, *names]})
        assert found.languages == (code,)
