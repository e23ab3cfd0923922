"""The administrator's account. The programs in Open WebUI's container are tested on a machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from webui import admin
from webui.accounts import Users
from webui.client import WebuiSession
from webui.errors import WebuiError

ADMIN = {"email": "admin@example.org", "name": "Admin", "password": "swordfish"}


class Container:
    """The container: `answers` are those of `is_admin`, and `programs` is what ran."""

    def __init__(
        self, *answers: bool, first: str = "admin@localhost", renamed: bool = True
    ) -> None:
        self.answers = list(answers)
        self.set = {"first": first, "was_renamed": renamed}
        self.programs: list[str] = []

    def run(self, program: str, text: str) -> str:
        assert json.loads(text)["password"] == ADMIN["password"]
        self.programs.append(program)
        return json.dumps(self.answers.pop(0) if program == "is_admin" else self.set)


@pytest.fixture(autouse=True)
def record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that records the declared administrator; it does not exist yet."""
    monkeypatch.setattr(admin, "RECORD", tmp_path / "administrator")
    return tmp_path / "administrator"


@pytest.mark.parametrize(
    ("answers", "programs"),
    [([True], ["is_admin"]), ([False, True], ["is_admin", "set_admin", "is_admin"])],
    ids=["declared already", "changed"],
)
def test_the_account_is_checked_without_a_sign_in(
    monkeypatch: pytest.MonkeyPatch, answers: list[bool], programs: list[str]
) -> None:
    """Only programs in the container run: no request, so the limit on sign-ins never matters."""
    container = Container(*answers)
    monkeypatch.setattr(admin, "run_in_container", container.run)
    admin.set_admin(ADMIN)
    assert container.programs == programs


def test_an_account_that_cannot_be_set_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(admin, "run_in_container", Container(False, False).run)
    with pytest.raises(WebuiError, match="still cannot sign in"):
        admin.set_admin(ADMIN)
    assert ADMIN["password"] not in "".join(capsys.readouterr())


FORMER = "bob@example.org was the administrator before."


@pytest.mark.parametrize(
    ("recorded", "container", "reported"),
    [
        (None, Container(False, True), None),
        (None, Container(False, True, False, first="bob@example.org", renamed=False), FORMER),
        ("bob@example.org", Container(False, True, True, renamed=False), f"{FORMER} That account"),
        ("bob@example.org", Container(True, True), "with the same password as the new one"),
        ("bob@example.org", Container(True, False), "with its former password"),
        (
            "bob@example.org",
            Container(False, True, first="bob@example.org"),
            "The account of bob@example.org has the e-mail admin@example.org now",
        ),
        (
            "bob@example.org",
            Container(False, True, False, first="carol@example.org"),
            "The account of carol@example.org has the e-mail admin@example.org now",
        ),
        (ADMIN["email"], Container(True), None),
        (ADMIN["email"], Container(False, True, first=ADMIN["email"], renamed=False), None),
    ],
    ids=[
        "new instance",
        "moved at the upgrade",
        "moved",
        "same password",
        "another password",
        "renamed",
        "another renamed",
        "unchanged",
        "password set again",
    ],
)
def test_what_happens_to_a_former_administrator_is_reported(  # noqa: PLR0917  fixtures, a table
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record: Path,
    recorded: str | None,
    container: Container,
    reported: str | None,
) -> None:
    if recorded:
        record.write_text(recorded)
    monkeypatch.setattr(admin, "run_in_container", container.run)
    admin.set_admin(ADMIN)
    printed = capsys.readouterr().err
    assert reported in printed if reported else "bob" not in printed
    assert container.answers == []
    assert record.read_text() == ADMIN["email"]


def test_a_removal_never_touches_the_declared_administrator(
    record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Untouched(WebuiSession):
        def call(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("nothing may be requested")

    record.write_text("alice@example.org")
    Users().remove(Untouched(), "alice@example.org")
    assert "alice@example.org is the administrator now" in capsys.readouterr().err
