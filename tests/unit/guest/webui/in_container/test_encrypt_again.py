"""What the secret key of Open WebUI encrypts, after the key was replaced."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import pytest
from webui.in_container import encrypt_again
from webui.in_container.encrypt_again import derived, direct

FORMER, NEW = ("a" * 43 + "=", "b" * 43 + "=")
MFA, APPS = derived(b"open-webui/mfa-encryption/v1"), derived(b"open-webui-app-keys-v1")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    monkeypatch.setattr(encrypt_again, "DATABASE", tmp_path / "webui.db")
    return sqlite3.connect(tmp_path / "webui.db")


def run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{FORMER}\n{NEW}\n"))
    encrypt_again.main()


def test_everything_is_encrypted_with_the_new_key_and_a_second_run_changes_nothing(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encrypted(cipher: encrypt_again.Cipher, text: str) -> str:
        return cipher(FORMER).encrypt(text.encode()).decode()

    factor = {"secret": encrypted(MFA, "totp"), "login_challenge": {"secret": "x"}, "last_step": 7}
    server = {"url": "https://x", "info": {"oauth_client_info": encrypted(direct, "client")}}
    with database:
        database.execute("create table auth (id text, mfa json)")
        database.execute("insert into auth values ('1', ?), ('2', null)", [json.dumps(factor)])
        database.execute("create table app (id text, api_key text)")
        database.execute("insert into app values ('1', ?)", [encrypted(APPS, "api key")])
        database.execute("create table config (key text, value json)")
        database.executemany(
            "insert into config values (?, ?)",
            [
                ("tool_server.connections", json.dumps([server])),
                ("webui.url", '"https://x"'),
                ("z", "42"),
            ],
        )
        database.execute("create table oauth_session (id text, token text)")
        database.execute("insert into oauth_session values ('1', 'x')")

    run(monkeypatch)
    first = list(database.iterdump())
    run(monkeypatch)
    assert list(database.iterdump()) == first

    [changed] = [json.loads(text) for [text] in database.execute("select mfa from auth") if text]
    assert MFA(NEW).decrypt(changed["secret"]) == b"totp"
    assert (changed["login_challenge"], changed["last_step"]) == (None, 7)
    [[key]] = database.execute("select api_key from app")
    assert APPS(NEW).decrypt(key) == b"api key"
    [[servers], [url], _] = database.execute("select value from config order by key")
    assert direct(NEW).decrypt(json.loads(servers)[0]["info"]["oauth_client_info"]) == b"client"
    assert url == '"https://x"'
    assert not database.execute("select * from oauth_session").fetchall()


def test_a_database_of_another_version_and_a_new_machine(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with database:
        database.execute("create table auth (id text)")
    run(monkeypatch)
    monkeypatch.setattr(encrypt_again, "DATABASE", tmp_path / "none")
    run(monkeypatch)
    assert not (tmp_path / "none").exists()
