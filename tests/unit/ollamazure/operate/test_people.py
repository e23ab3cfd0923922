"""`bin/ollamazure people`: who gets a message, what is asked and sent. With a machine:
tests/e2e/test_people_accounts.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ollamazure import cli
from ollamazure.operate import people
from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS

ALICE, BOB, CAROL, DAVE = (f"{name}@example.com" for name in ("alice", "bob", "carol", "dave"))
PASSWORDS = {email: f"initial password of {email}" for email in (ALICE, BOB, CAROL, DAVE)}
NOON = 1_764_504_000  # 2025-11-30 12:00 UTC


class Machine:
    """Answers as the program on the machine, and keeps what it was sent."""

    def __init__(self) -> None:
        self.people = {email: self.person(email) for email in PASSWORDS}
        self.sent: list[tuple[str, Any]] = []

    @staticmethod
    def person(email: str, **changes: Any) -> dict[str, Any]:
        return {
            "email": email,
            "name": email.partition("@")[0].title(),
            "state": "active",
            "groups": [],
            "last_active": None,
            "second_factor": "none",
            "has_initial_password": True,
            "message": None,
            **changes,
        }

    def change(self, email: str, **changes: Any) -> None:
        self.people[email] |= changes

    async def query(self, command: str, stdin: str = "") -> Any:
        assert "password" not in command
        words = command.removeprefix(people.PROGRAM).split()
        self.sent.append((" ".join(words), json.loads(stdin)))
        match words:
            case []:
                return list(self.people.values())
            case ["messages"]:
                return None
            case ["reset"]:
                return "a new password"
        raise AssertionError(command)

    def changed(self) -> list[tuple[str, Any]]:
        return [(words, given) for words, given in self.sent if words]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    query = machine.query
    monkeypatch.setattr(
        MachineConnection, "query", lambda _, command, stdin="": query(command, stdin)
    )
    outputs = {
        **OUTPUTS,
        "url": "https://chat.example.com",
        "certificateMode": "letsEncrypt",
        "initialPasswords": PASSWORDS,
    }
    monkeypatch.setattr(people, "read_outputs", lambda *_: outputs)
    return machine


def invite(folder: Path, *emails: str, again: bool = False) -> tuple[int, dict[str, str]]:
    """The exit code, and the messages by e-mail."""
    code = people.invite("dev", "pulumi", emails, folder, again=again)
    return code, {file.name.removesuffix(".txt"): file.read_text() for file in folder.iterdir()}


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """A terminal at which the operator answers this to each question; the questions."""
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return text

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", ask)
    return questions


def test_the_list_has_a_line_for_each_person_and_needs_no_password(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.change(ALICE, last_active=NOON, groups=["a", "b"], second_factor="set up")
    machine.change(BOB, state="suspended", message=NOON, groups=["\x1b[2J"])
    machine.change(CAROL, state="missing", second_factor="reset")
    assert people.print_people("dev", "pulumi") == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "e-mail"
    assert [line.split() for line in lines[:1]] == [
        [ALICE, "active", "2025-11-30", "12:00", "yes", "none", "a,", "b"]
    ]
    assert lines[1].split()[:5] == [BOB, "suspended", "never", "no", "2025-11-30"]
    assert "\x1b" not in lines[1]
    assert lines[2].split() == [CAROL, "missing", "never", "being", "reset", "none"]
    assert machine.sent == [("", {})]


def test_without_people_the_list_explains_how_to_add_them(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.people = {}
    assert people.print_people("dev", "pulumi") == 0
    assert "docs/how-to/users-and-groups.md" in capsys.readouterr().out


def test_all_means_those_who_need_a_message(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.change(BOB, message=NOON)
    machine.change(CAROL, last_active=NOON, has_initial_password=False)
    machine.change(DAVE, last_active=NOON)
    code, messages = invite(tmp_path)
    assert code == 0
    assert list(messages) == [ALICE]
    assert PASSWORDS[ALICE] in messages[ALICE] and "Hello Alice," in messages[ALICE]
    assert machine.changed() == [("messages", [ALICE])]
    captured = capsys.readouterr()
    assert f"no message for {BOB}: a message was made on 2025-11-30." in captured.err
    assert f"no message for {CAROL}: the account has another password" in captured.err
    assert f"no message for {DAVE}: the account was last used on 2025-11-30." in captured.err
    assert not [each for each in PASSWORDS.values() if each in captured.out + captured.err]


def test_again_means_also_those_who_may_need_none(machine: Machine, tmp_path: Path) -> None:
    machine.change(BOB, message=NOON)
    machine.change(CAROL, has_initial_password=False)
    machine.change(DAVE, last_active=NOON)
    code, messages = invite(tmp_path, again=True)
    assert (code, {*messages}) == (0, {ALICE, BOB, DAVE})


def test_when_no_one_needs_a_message_nothing_is_recorded(machine: Machine, tmp_path: Path) -> None:
    for email in PASSWORDS:
        machine.change(email, message=NOON)
    assert invite(tmp_path) == (0, {})
    assert machine.changed() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "suspended"}, "the account is suspended"),
        ({"state": "missing", "has_initial_password": False}, "the account is missing"),
        ({"has_initial_password": False}, "`people reset` gives it a new one"),
    ],
)
def test_a_person_whom_it_would_not_help_stops_all(
    machine: Machine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    reason: str,
) -> None:
    machine.change(BOB, **changes)
    machine.change(CAROL, message=NOON)
    assert invite(tmp_path, ALICE, BOB, CAROL, again=False) == (1, {})
    printed = capsys.readouterr().err
    assert reason in printed
    assert f"{CAROL}: a message was made" in printed, "all reasons at once"
    assert machine.changed() == []


def test_a_second_message_needs_an_answer(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.change(BOB, message=NOON)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(OperateError, match="Add --again"):
        invite(tmp_path, ALICE, BOB)
    assert (*tmp_path.iterdir(),) == ()

    questions = answer(monkeypatch, "")
    assert invite(tmp_path, ALICE, BOB) == (1, {})
    assert questions == [f"{BOB}: a message was made on 2025-11-30. Make another message? [y/N] "]
    assert machine.changed() == []

    answer(monkeypatch, "y")
    code, messages = invite(tmp_path, ALICE, BOB)
    assert (code, {*messages}) == (0, {ALICE, BOB})


def test_who_is_not_declared_is_refused_before_anything(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(OperateError, match=r"eve@example\.com: not declared in `users`"):
        invite(tmp_path, ALICE, "eve@example.com")
    assert machine.sent == []


def test_what_the_machine_does_not_know_yet_is_reported(machine: Machine, tmp_path: Path) -> None:
    del machine.people[BOB]
    with pytest.raises(OperateError, match=r"does not know bob@example\.com yet"):
        invite(tmp_path, BOB)


def reset(folder: Path, *, yes: bool = False) -> int:
    return people.reset("dev", "pulumi", BOB, folder, yes=yes)


def test_a_new_password_comes_in_a_message(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reset(tmp_path, yes=True) == 0
    assert machine.sent == [("", {BOB: ""}), ("reset", BOB)]
    text = (tmp_path / f"{BOB}.txt").read_text()
    assert "a new password" in text and "Your new password" in text
    assert "a new password" not in "".join(capsys.readouterr())


def test_no_password_is_made_without_an_answer_or_a_place(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "")
    assert reset(tmp_path) == 1
    (tmp_path / f"{BOB}.txt").touch()
    with pytest.raises(OperateError, match="these files exist"):
        reset(tmp_path, yes=True)
    assert machine.changed() == []


def test_a_suspended_account_gets_no_new_password(machine: Machine, tmp_path: Path) -> None:
    machine.change(BOB, state="suspended")
    with pytest.raises(OperateError, match="is suspended"):
        reset(tmp_path, yes=True)
    assert machine.changed() == []


def test_nothing_is_recorded_if_there_is_no_place_for_a_message(
    machine: Machine, tmp_path: Path
) -> None:
    machine.change(BOB, message=NOON)
    (tmp_path / f"{BOB}.txt").touch()
    (tmp_path / f"{CAROL}.txt").touch()
    with pytest.raises(OperateError, match=f"these files exist: {tmp_path}/{CAROL}.txt. Delete"):
        invite(tmp_path)
    assert machine.changed() == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["list", ALICE], "list takes none"),
        (["invite"], "Give e-mails, or --all"),
        (["invite", ALICE, "--all"], "without e-mails"),
        (["list", "--all"], "It is for invite"),
        (["reset"], "reset takes one"),
        (["reset", ALICE, BOB], "reset takes one"),
    ],
)
def test_wrong_words_are_refused(words: Sequence[str], reason: str) -> None:
    result = CliRunner().invoke(cli.app, ["people", "--stack", "local", *words])
    assert result.exit_code == 2
    assert reason in result.output
