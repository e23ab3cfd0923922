"""`bin/ollamazure new` from end to end: without a terminal, and on a real one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ollamazure.new import command
from ollamazure.new.stack_file import check
from ollamazure.operate.pulumi import PROJECT
from tests.tiers import first_of

pytestmark = pytest.mark.unit

WISHES: dict[str, Any] = {"people": "20", "budget": "300", "languages": ["fr"], "documents": "yes"}
# Ends in the exit code of a command in a folder of the test's own.
ON_A_TERMINAL = """
import sys
from pathlib import Path
from ollamazure.new.command import run
sys.exit(run("team", {given!r}, yes=False, folder=Path({folder!r})))
"""


def run(folder: Path, stack: str = "team", *, yes: bool = True, **given: Any) -> int:
    return command.run(stack, given, yes=yes, folder=folder)


def type_answers(
    folder: Path, answers: Sequence[str], given: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    """The exit code and the output of the command on a terminal where these lines are typed."""
    mine, its = pty.openpty()
    program = ON_A_TERMINAL.format(given=dict(given or {}), folder=str(folder))
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.close(its)
    os.write(mine, "".join(f"{answer}\n" for answer in answers).encode())
    printed, _ = process.communicate(timeout=300)
    os.close(mine)
    return process.returncode, printed


def test_the_first_proposal_is_written_without_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **WISHES) == 0
    text = (tmp_path / "Pulumi.team.yaml").read_text()
    printed = capsys.readouterr().out
    first = next(line for line in printed.splitlines() if line.startswith("1. "))
    size = yaml.safe_load(text)["config"]["ollamazure:vmSize"]
    assert f"on {size}: the largest model" in first
    assert check("team", text).searches_documents
    assert "Wrote Pulumi.team.yaml." in printed and "pulumi stack init team" in printed


@pytest.mark.parametrize(
    ("stack", "yes", "given", "code", "words"),
    first_of(
        [
            # 500 people, 10 dollars: possible wishes that nothing meets
            ("team", True, {"people": "500", "budget": "10"}, 1, ["nothing fits", "With a larger"]),
            ("there", True, WISHES, 1, ["Pulumi.there.yaml exists, and is never overwritten"]),
            ("team", False, {}, 2, ["no terminal to ask on", "--people is not set", "3. --budget"]),
            ("team", False, WISHES, 2, ["1. --yes is not set, and there is no terminal to ask"]),
            ("team", True, {"people": "20"}, 2, ["--budget is not set"]),
            ("team", True, {**WISHES, "atOnce": "21"}, 2, ["there are 20 people"]),
            ("team", True, {**WISHES, "languages": ["klingon"]}, 2, ["no such language"]),
            ("team", True, {**WISHES, "location": "mars"}, 2, ["no such region"]),
            (".x", True, WISHES, 2, ["The stack's name"]),
            ("there", False, {**WISHES, "gpu": "x"}, 2, ["exists", "--yes is not", "3. --gpu"]),
        ]
    ),
)
def test_bad_input_is_explained_and_nothing_is_written(
    *,
    stack: str,
    yes: bool,
    given: dict[str, Any],
    code: int,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = tmp_path / "Pulumi.there.yaml"
    there.write_text("config: {}\n")
    assert run(tmp_path, stack, yes=yes, **given) == code
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("new: ")
    for each in words:
        assert each in printed.err
    assert [*tmp_path.iterdir()] == [there] and there.read_text() == "config: {}\n"


def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "missing", **WISHES) == 1
    assert (
        "Pulumi.team.yaml cannot be written: No such file or directory" in capsys.readouterr().err
    )


def test_a_terminal_is_asked_for_each_wish_until_the_answer_is_allowed(tmp_path: Path) -> None:
    # people, at once, languages, documents, region, budget, GPU, address, and which proposal
    answers = ["many", "20", "21", "3", "klingon", "French, German", "yes", "", "300", "no", "",
               "9", "2"]  # fmt: skip
    code, printed = type_answers(tmp_path, answers)
    assert code == 0, printed
    for refused in ('"many" is not allowed', "there are 20 people", "no such language", "Type a n"):
        assert refused in printed
    assert "A chat for 20 people, 3 at once, in French and German, with a search" in printed
    second = next(line for line in printed.splitlines() if line.startswith("2. "))
    config = yaml.safe_load((tmp_path / "Pulumi.team.yaml").read_text())["config"]
    assert f" on {config['ollamazure:vmSize']}: " in second
    assert config["ollamazure:location"] == "francecentral"


def test_a_terminal_is_not_asked_for_what_the_options_say(tmp_path: Path) -> None:
    given = {**WISHES, "atOnce": "2", "location": "westus", "gpu": "no", "sshClient": "203.0.113.7"}
    code, printed = type_answers(tmp_path, ["0"], given)
    assert code == 1 and "nothing was chosen, and nothing has been written" in printed
    assert "How many people" not in printed
    assert not [*tmp_path.iterdir()]


def test_a_terminal_is_not_asked_before_a_wrong_option_is_reported(tmp_path: Path) -> None:
    code, printed = type_answers(tmp_path, [], {"location": "mars"})
    assert code == 2 and "no such region" in printed and "How many people" not in printed
