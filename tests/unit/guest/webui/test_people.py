"""The declared people, messages and new passwords. With a real Open WebUI:
tests/e2e/test_people_accounts.py."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from webui import __main__, accounts, admin, client, initial_passwords, items, people
from webui.client import WebuiSession
from webui.errors import WebuiError

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
INITIAL = {ALICE: "initial-a", BOB: "initial-b", CAROL: "initial-c"}


@dataclass
class Webui(WebuiSession):
    """Open WebUI with accounts; a password is its own hash, but for a mark."""

    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)  # for the hint

    def __post_init__(self) -> None:
        super().__init__()

    def has(self, email: str, password: str, **changes: Any) -> None:
        account = {"id": email, "email": email, "role": "user", "group_ids": []}
        times = {"created_at": 1000, "last_active_at": 1001}
        self.accounts[email] = {**account, **times, "password": password, **changes}

    def call(self, method: str, path: str, body: Any = None, *_: Any, **__: Any) -> Any:
        match path.partition("?")[0].split("/")[3:]:
            case ["users", ""]:
                return {"users": list(self.accounts.values()), "total": len(self.accounts)}
            case ["groups", ""]:
                return [{"id": "g1", "name": "research"}, {"id": "g2", "name": "By hand"}]
            case ["users", id, "update"]:
                self.accounts[id] |= body
            case ["configs", "import"]:
                self.shared = body["config"][initial_passwords.SHARED]
            case ["users", id, "sessions", "revoke"]:
                self.ended.append(id)
            case _:
                raise AssertionError(f"{method} {path}")
        return {}

    def run_in_container(self, program: str, text: str) -> str:
        assert program == "credentials"
        found = {}
        for email, given in json.loads(text).items():
            account = self.accounts.get(email, {"password": None})
            stored = account["password"]
            factor = account.get("second_factor", "none")
            found[email] = {
                "hash": f"#{stored}" if stored else "",
                "matches": stored is not None and stored == given,
                "second_factor": factor,
            }
        return json.dumps(found)


@pytest.fixture
def webui(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Webui:
    webui = Webui()
    monkeypatch.setattr(initial_passwords, "MESSAGES", tmp_path / "invitations.json")
    monkeypatch.setattr(initial_passwords, "RECORD", tmp_path / "initial-passwords.json")
    monkeypatch.setattr(admin, "RECORD", tmp_path / "administrator")
    monkeypatch.setattr(items, "DECLARED", tmp_path / "declared")
    monkeypatch.setattr(initial_passwords, "run_in_container", webui.run_in_container)
    for email, password in INITIAL.items():
        declare(tmp_path, email, email.partition("@")[0].title())
        webui.has(email, password)
    return webui


def declare(tmp_path: Path, email: str, name: str, state: str = "active") -> Path:
    path = tmp_path / "declared/user" / f"{email}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    declared = {"email": email, "name": name, "role": "user", "state": state, "groups": []}
    path.write_text(json.dumps(declared))
    return path


def by_email(webui: Webui, passwords: dict[str, str]) -> dict[str, Any]:
    return {person["email"]: person for person in people.list_people(webui, passwords)}


def test_each_declared_person_is_listed_as_open_webui_knows_the_account(
    webui: Webui, tmp_path: Path
) -> None:
    webui.has("by-hand@example.com", "x")
    webui.has(ALICE, "chosen", last_active_at=5000, second_factor="set up", group_ids=["g2", "g1"])
    webui.has(BOB, "initial-b", role="pending")
    del webui.accounts[CAROL]
    declare(tmp_path, "dave@example.com", "Dave", state="deleted")
    assert people.list_people(webui, INITIAL) == [
        {
            "email": ALICE,
            "name": "Alice",
            "state": "active",
            "groups": ["By hand", "research"],
            "last_active": 5000,
            "second_factor": "set up",
            "has_initial_password": False,
            "message": None,
        },
        {
            "email": BOB,
            "name": "Bob",
            "state": "suspended",
            "groups": [],
            "last_active": None,
            "second_factor": "none",
            "has_initial_password": True,
            "message": None,
        },
        {
            "email": CAROL,
            "name": "Carol",
            "state": "missing",
            "groups": [],
            "last_active": None,
            "second_factor": "none",
            "has_initial_password": False,
            "message": None,
        },
    ]


def test_a_message_counts_as_long_as_its_password_works(
    webui: Webui, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 7000.5)
    people.record_messages([ALICE, BOB, "no-account@example.com"])
    monkeypatch.setattr("time.time", lambda: 8000.5)
    people.record_messages([CAROL])
    webui.has(BOB, "rotated")
    found = {email: person["message"] for email, person in by_email(webui, {}).items()}
    assert found == {ALICE: 7000, BOB: None, CAROL: 8000}
    assert initial_passwords.MESSAGES.stat().st_mode & 0o777 == 0o600


def test_a_new_password_ends_the_sessions_and_pulumi_up_leaves_it_alone(
    webui: Webui, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = declare(tmp_path, ALICE, "Alice")
    initial_passwords.renew_initial_password(webui, declared, INITIAL[ALICE])
    password = people.reset_password(webui, ALICE)

    assert webui.accounts[ALICE]["password"] == password
    assert webui.ended == [ALICE]
    assert hashlib.sha256(f"#{password}".encode()).hexdigest() in webui.shared
    assert re.fullmatch("([a-z2-7]{5}-){4}[a-z2-7]{5}", password)
    assert password not in "".join(capsys.readouterr())
    assert password not in initial_passwords.MESSAGES.read_text().replace(f"#{password}", "")
    for initial in (INITIAL[ALICE], "rotated"):
        initial_passwords.renew_initial_password(webui, declared, initial)
        assert webui.accounts[ALICE]["password"] == password
    listed = by_email(webui, INITIAL)[ALICE]
    assert listed["message"] and not listed["has_initial_password"]
    assert people.reset_password(webui, ALICE) != password


@pytest.mark.parametrize(
    ("email", "refusal"),
    [
        (ALICE, "is the administrator, whose password is a setting"),
        (BOB, "is suspended"),
        ("dave@example.com", "no account has the e-mail"),
    ],
)
def test_no_new_password_where_it_would_not_help(webui: Webui, email: str, refusal: str) -> None:
    admin.RECORD.write_text(ALICE)
    webui.has(BOB, "initial-b", role=accounts.PENDING)
    with pytest.raises(WebuiError, match=refusal):
        people.reset_password(webui, email)
    assert webui.accounts[ALICE]["password"] == INITIAL[ALICE]
    assert webui.ended == []


def test_the_commands_take_their_input_by_standard_input_and_print_json(
    webui: Webui,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(client, "RUN", tmp_path)
    monkeypatch.setattr(client, "LOCK_FILE", tmp_path / "lock")
    monkeypatch.setattr(__main__, "wait_until_ready", lambda _: None)

    def run(words: list[str], given: object) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(given)))
        assert __main__.run(webui, words) == 0
        return json.loads(capsys.readouterr().out)

    assert run(["people", "messages"], [BOB]) is None
    listed = run(["people"], {BOB: INITIAL[BOB]})
    assert [(one["has_initial_password"], bool(one["message"])) for one in listed] == [
        (False, False),
        (True, True),
        (False, False),
    ]
    assert run(["people", "reset"], BOB) == webui.accounts[BOB]["password"]
    assert __main__.run(webui, ["people", "delete"]) == 2
