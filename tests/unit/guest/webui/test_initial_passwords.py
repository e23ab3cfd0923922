"""Who gets another initial password. The program in the container is tested on a machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from webui import initial_passwords
from webui.client import WebuiSession

ALICE = "alice@example.com"


class Webui(WebuiSession):
    """Open WebUI with one account; a password is its own hash, but for a mark."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self.password = password
        self.shared: list[str] = []  # with Open WebUI, for its hint

    def call(self, method: str, path: str, body: Any = None, *_: Any, **__: Any) -> Any:
        if method == "GET":
            return {"users": [{"id": "1", "email": ALICE}], "total": 1}
        if path == "/api/v1/configs/import":
            self.shared = body["config"]["ollamazure.initial_passwords"]
            return {}
        assert path == "/api/v1/users/1/update"
        self.password = body["password"]
        return {}

    def run_in_container(self, program: str, text: str) -> str:
        assert program == "credentials"
        given = json.loads(text)[ALICE]
        return json.dumps({ALICE: {"hash": f"#{self.password}", "matches": given == self.password}})


@pytest.fixture
def webui(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Webui:
    webui = Webui("first")
    monkeypatch.setattr(initial_passwords, "RECORD", tmp_path / "initial-passwords.json")
    monkeypatch.setattr(initial_passwords, "MESSAGES", tmp_path / "invitations.json")
    monkeypatch.setattr(initial_passwords, "run_in_container", webui.run_in_container)
    return webui


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    path = tmp_path / "alice.json"
    path.write_text(json.dumps({"email": "Alice@example.com", "state": "active"}))
    return path


def test_one_that_was_never_changed_is_replaced(webui: Webui, alice: Path) -> None:
    for password in ("first", "second", "second", "third"):
        initial_passwords.renew_initial_password(webui, alice, password)
        assert webui.password == password
        assert webui.shared == [checksum(f"#{password}")]
    assert initial_passwords.RECORD.stat().st_mode & 0o777 == 0o600


def test_one_that_its_owner_chose_stays(webui: Webui, alice: Path) -> None:
    initial_passwords.renew_initial_password(webui, alice, "first")
    webui.password = "chosen"
    for password in ("first", "second", "third"):
        initial_passwords.renew_initial_password(webui, alice, password)
        assert webui.password == "chosen"
        assert webui.shared == [checksum("#first")]


def test_one_of_which_nothing_is_known_stays(webui: Webui, alice: Path) -> None:
    """The account of an earlier version, or one that was adopted."""
    initial_passwords.renew_initial_password(webui, alice, "second")
    initial_passwords.share_initial_passwords(webui)
    assert (webui.password, webui.shared) == ("first", [])


def test_those_that_an_earlier_version_recorded_are_shared(webui: Webui) -> None:
    initial_passwords.RECORD.write_text(json.dumps({ALICE: "#first"}))
    initial_passwords.share_initial_passwords(webui)
    assert webui.shared == [checksum("#first")]


def test_the_password_of_a_message_is_shared_with_the_initial_one(webui: Webui) -> None:
    initial_passwords.RECORD.write_text(json.dumps({ALICE: "#first"}))
    initial_passwords.MESSAGES.write_text(json.dumps({ALICE: {"at": 1, "hash": "#reset"}}))
    initial_passwords.share_initial_passwords(webui)
    assert webui.shared == sorted([checksum("#first"), checksum("#reset")])


def checksum(stored: str) -> str:
    return hashlib.sha256(stored.encode()).hexdigest()
