"""The administrator's account. The programs in Open WebUI's container are tested on a machine."""

from __future__ import annotations

import json

import pytest
from webui import admin
from webui.errors import WebuiError

ADMIN = {"email": "admin@example.org", "name": "Admin", "password": "swordfish"}


class Container:
    """The container: `answers` are those of `is_admin`, and `programs` is what ran."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.programs: list[str] = []

    def run(self, program: str, text: str) -> str:
        assert json.loads(text) == ADMIN
        self.programs.append(program)
        return json.dumps(self.answers.pop(0)) if program == "is_admin" else ""


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
