"""What one person has: the archive, the refusals, the order of a deletion; and old chats.

With a real Open WebUI: tests/e2e/test_people_accounts.py.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import audit_log
import pytest
from webui import __main__, accounts, admin, initial_passwords, items, personal_data
from webui.client import WebuiSession
from webui.errors import WebuiError

ALICE = "alice@example.com"
ACCOUNT = {"id": "1", "email": ALICE, "name": "Alice", "role": "user"}
SUMMARY = {
    **ACCOUNT, "is_first": False, "other_admins": 1, "deleted": {"chat": 2}, "kept": {}
}  # fmt: skip
MESSAGES = {
    "b": {"role": "assistant", "model": "m", "content": "Hello!", "timestamp": 1_800_000_060},
    "a": {"role": "user", "content": "Hi", "timestamp": 1_800_000_000},
}
CHAT = {"id": "12345678-9", "title": "A/../b", "updated_at": 1_800_000_060, "chat": {}}
FILE = {"id": "abcdefgh-1", "filename": "../x.md", "path": "/app/data/uploads/abcdefgh-1_x.md"}


class Webui(WebuiSession):
    """Open WebUI with an account and two files; keeps what was requested, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.answers: dict[str, Any] = {"summary": SUMMARY, "erase": ["base"]}

    def call(self, method: str, path: str, body: Any = None, *_: Any, **__: Any) -> Any:
        if method == "GET":
            files = [{"id": id, "user_id": id[0], "hash": "h"} for id in ("1a", "2b")]
            return {"items": files, "total": 2}
        self.done.append(f"{method} {path.removeprefix('/api/v1/')}")
        return {}

    def run_in_container(self, program: str, text: str) -> str:
        wanted = json.loads(text)
        if wanted["do"] in ("erase", "expire"):
            self.done.append(f"{program} {text}")
        return json.dumps(self.answers.get(wanted["do"]))


@pytest.fixture
def webui(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Webui:
    webui = Webui()
    for module in (personal_data, accounts):
        monkeypatch.setattr(module, "run_in_container", webui.run_in_container)
    monkeypatch.setattr(initial_passwords, "MESSAGES", tmp_path / "invitations.json")
    monkeypatch.setattr(initial_passwords, "RECORD", tmp_path / "initial-passwords.json")
    monkeypatch.setattr(admin, "RECORD", tmp_path / "administrator")
    monkeypatch.setattr(items, "DECLARED", tmp_path / "declared")
    monkeypatch.setattr(personal_data, "BACKUP", tmp_path / "backup.json")
    monkeypatch.setattr(personal_data, "find_volume", lambda: tmp_path / "volume")
    monkeypatch.setattr(audit_log, "FOLDER", tmp_path / "audit")
    return webui


def declare(tmp_path: Path, **user: str) -> None:
    file = tmp_path / "declared/user/x.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"state": "active", **user}))


def test_an_account_is_deleted_last_and_what_was_recorded_about_it(
    webui: Webui, tmp_path: Path
) -> None:
    for name in ("invitations.json", "initial-passwords.json"):
        (tmp_path / name).write_text(json.dumps({ALICE: "x", "bob@example.com": "y"}))
    declare(tmp_path, email="bob@example.com")
    personal_data.erase(webui, ALICE)
    assert webui.done == [
        "POST users/1/update",
        "POST users/1/sessions/revoke",
        'personal_data {"do": "erase", "user": "1"}',
        "DELETE knowledge/base/delete",
        "POST retrieval/delete",
        "DELETE files/1a",
        "DELETE users/1",
    ]
    for name in ("invitations.json", "initial-passwords.json"):
        assert json.loads((tmp_path / name).read_text()) == {"bob@example.com": "y"}


@pytest.mark.parametrize("state", ["active", "suspended"])
def test_a_declared_user_is_refused(webui: Webui, tmp_path: Path, state: str) -> None:
    declare(tmp_path, email="Alice@Example.com", state=state)
    with pytest.raises(WebuiError, match=r"Remove the entry from `users` and run `pulumi up`"):
        personal_data.erase(webui, ALICE)
    assert not webui.done


def test_the_administrator_and_strangers_are_refused(webui: Webui, tmp_path: Path) -> None:
    (tmp_path / "administrator").write_text(ALICE)
    with pytest.raises(WebuiError, match="is the administrator of the settings"):
        personal_data.erase(webui, ALICE)
    webui.answers = {}
    for action in (personal_data.summarize, lambda email: personal_data.erase(webui, email)):
        with pytest.raises(WebuiError, match="no account has the e-mail alice"):
            action(ALICE)
    with pytest.raises(WebuiError, match="no account has the e-mail alice"):
        personal_data.export(ALICE, "h", io.BytesIO())
    assert not webui.done


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_first": True}, "is the first account, which Open WebUI never deletes"),
        ({"other_admins": 0}, "the chat has no administrator"),
    ],
)
def test_an_account_that_the_chat_needs_is_refused(
    webui: Webui, changes: dict[str, Any], reason: str
) -> None:
    webui.answers["summary"] = {**SUMMARY, **changes}
    with pytest.raises(WebuiError, match=reason):
        personal_data.erase(webui, ALICE)
    assert not webui.done


def test_the_summary_knows_the_backups(webui: Webui, tmp_path: Path) -> None:
    assert personal_data.summarize(ALICE) == {**SUMMARY, "refusal": None, "backups": None}
    keep = {"daily": 7, "weekly": 5, "monthly": 12}
    settings = {"keep": keep, "repository": "rclone:azure:backups"}
    (tmp_path / "backup.json").write_text(json.dumps(settings))
    assert personal_data.summarize(ALICE)["backups"] == {**keep, "in_azure": True}


def exported(webui: Webui, **tables: Any) -> dict[str, str]:
    """The archive's files, written to what cannot seek, as a pipe."""
    webui.answers["export"] = {"user": [ACCOUNT], **tables}
    written = io.BytesIO()
    written.seekable = lambda: False  # type: ignore[method-assign]
    personal_data.export(ALICE, "chat.example.com", written)
    with zipfile.ZipFile(io.BytesIO(written.getvalue())) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_archive_explains_itself(webui: Webui, tmp_path: Path) -> None:
    uploads = tmp_path / "volume/uploads"
    uploads.mkdir(parents=True)
    (uploads / "abcdefgh-1_x.md").write_text("What I uploaded.")
    (tmp_path / "audit").mkdir()
    entry = {
        "timestamp": 1_800_000_000,
        "verb": "POST",
        "request_uri": "/x",
        "source_ip": "1.2.3.4",
    }
    lines = [{**entry, "extra": {}, "user": user} for user in ({"email": ALICE}, {"id": "2"}, None)]
    (tmp_path / "audit/audit.log").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    chat = {**CHAT, "chat": {"history": {"messages": MESSAGES}}}
    missing = {**FILE, "path": "/app/data/uploads/missing"}
    found = exported(webui, chat=[chat], file=[FILE, missing])
    assert [*found] == [
        "README.txt",
        "account.json",
        "data/chat.json",
        "data/file.json",
        "chats/2027-01-15 A_.._b 12345678.txt",
        "audit-log.txt",
        "files/abcdefgh _x.md",
    ]
    assert "chat.example.com has of Alice <alice@example.com>" in found["README.txt"]
    assert "data/chat.json  1\n" in found["README.txt"]
    assert json.loads(found["account.json"]) == ACCOUNT
    assert json.loads(found["data/chat.json"]) == [chat]
    assert found["chats/2027-01-15 A_.._b 12345678.txt"].splitlines() == [
        "A/../b",
        "",
        "--- user, 2027-01-15 08:00 UTC",
        "Hi",
        "",
        "--- m, 2027-01-15 08:01 UTC",
        "Hello!",
    ]
    assert found["audit-log.txt"] == "2027-01-15T08:00:00Z alice@example.com 1.2.3.4 POST /x\n"
    assert found["files/abcdefgh _x.md"] == "What I uploaded."


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {"history": None},
        {"history": {"messages": {"a": "x"}}},
        {"history": {"messages": {"a": {**MESSAGES["a"], "timestamp": "yesterday"}, "b": {}}}},
        {"history": {"messages": {"a": {**MESSAGES["a"], "timestamp": 1e300}}}},
    ],
)
def test_a_chat_of_any_shape_is_in_the_archive(webui: Webui, content: Any) -> None:
    found = exported(webui, chat=[{**CHAT, "title": ["x"], "chat": content}])
    [text] = [text for name, text in found.items() if name.startswith("chats/")]
    assert json.loads(text)["chat"] == content


def test_old_chats_and_their_files_are_deleted(
    webui: Webui, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000_000.5)
    webui.answers["expire"] = {"chats": 3, "files": [{"id": "f", "hash": "h"}]}
    personal_data.expire(webui, 10)
    assert webui.done == [
        'personal_data {"do": "expire", "before": 136000}',
        "POST retrieval/delete",
        "DELETE files/f",
    ]
    assert "3 chats and 1 files of more than 10 days deleted." in capsys.readouterr().err


@pytest.mark.parametrize("days", ["-1", "0", "1.5", "", "x"])
def test_no_other_number_of_days_is_understood(webui: Webui, days: str) -> None:
    assert __main__.change(webui, ["expire-chats", days]) == 2
    assert not webui.done
