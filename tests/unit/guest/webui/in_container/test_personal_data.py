"""What is found and deleted of one person, and of old chats, in a database like Open WebUI's.

The tables have the columns of 0.12.4 that the program uses. With the real one:
tests/e2e/test_people_accounts.py.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from webui.in_container import personal_data

TABLES = """
access_grant(id, resource_type, resource_id, principal_type, principal_id)
api_key(id, user_id, key)
auth(id, email, password)
automation(id, user_id)
automation_run(id, automation_id, chat_id)
channel(id, user_id, name)
channel_member(id, channel_id, user_id)
chat(id, user_id, title, chat, updated_at, meta)
chat_file(id, chat_id, user_id, file_id)
chat_message(id, chat_id, user_id, content)
feedback(id, user_id, meta)
file(id, user_id, filename, path, hash, created_at, updated_at)
group(id, user_id, name, description)
group_member(id, group_id, user_id)
knowledge(id, user_id, name)
knowledge_file(id, knowledge_id, file_id, user_id)
memory(id, user_id, content)
message(id, channel_id, user_id)
message_reaction(id, message_id, user_id)
model(id, user_id, base_model_id)
prompt(id, user_id, name)
prompt_history(id, prompt_id, user_id)
shared_chat(id, chat_id, user_id)
tag(id, user_id)
user(id, email, name, role, created_at)
"""
ALICE, BOB = "id of alice", "id of bob"
FILES = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(4)]
NOW = 1_000_000


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    monkeypatch.setattr(personal_data, "DATABASE", tmp_path / "webui.db")
    monkeypatch.setattr(personal_data, "VECTORS", tmp_path / "vector_db")
    database = personal_data.connect()
    database.execute("pragma synchronous = off")
    for line in TABLES.split("\n")[1:-1]:
        name, _, names = line.partition("(")
        database.execute(f'create table "{name}" ({names}')
    for number, (id, role) in enumerate((("root", "admin"), (ALICE, "user"), (BOB, "user"))):
        email = f"{id.split()[-1].title()}@example.com"
        add(database, "user", id=id, email=email, name=email, role=role, created_at=number)
        add(database, "auth", id=id, email=email, password="hash")
    return database


def add(database: sqlite3.Connection, table: str, **values: Any) -> None:
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    statement = f'insert into "{table}" ({names}) values ({marks})'  # noqa: S608
    database.execute(statement, [*values.values()])


def add_chat(
    database: sqlite3.Connection, id: str, owner: str, updated_at: int, text: str = ""
) -> None:
    meta = json.dumps({"tags": [f"tag of {id}"]})
    chat = json.dumps({"text": text})
    add(database, "chat", id=id, user_id=owner, chat=chat, updated_at=updated_at, meta=meta)
    add(database, "chat_message", id=f"message of {id}", chat_id=id, user_id=owner, content=text)
    add(database, "shared_chat", id=f"link to {id}", chat_id=id, user_id=owner)
    add(database, "feedback", id=f"rating of {id}", user_id=owner, meta=f'{{"chat_id": "{id}"}}')
    add(database, "tag", id=f"tag of {id}", user_id=owner)
    grant = {"principal_type": "user", "principal_id": "*"}
    add(database, "access_grant", resource_type="shared_chat", resource_id=id, **grant)


def ids(database: sqlite3.Connection, table: str, column: str = "id") -> set[str]:
    return {row[column] for row in database.execute(f'select * from "{table}"')}  # noqa: S608


def owners(database: sqlite3.Connection, table: str) -> dict[str, str]:
    return {row["id"]: row["user_id"] for row in database.execute(f'select * from "{table}"')}  # noqa: S608


def test_old_chats_go_with_all_that_belongs_to_them(database: sqlite3.Connection) -> None:
    add_chat(database, "old", ALICE, NOW - 1)
    add_chat(database, "new", ALICE, NOW)
    add(database, "automation_run", id="run", automation_id="a", chat_id="old")
    for _ in range(2):  # it can run again
        done = personal_data.main(database, {"do": "expire", "before": NOW})
    assert done == {"chats": 0, "files": []}
    assert ids(database, "chat") == {"new"}
    for table, kept in (
        ("chat_message", "message of new"),
        ("shared_chat", "link to new"),
        ("feedback", "rating of new"),
        ("tag", "tag of new"),
    ):
        assert ids(database, table) == {kept}, table
    assert ids(database, "access_grant", "resource_id") == {"new"}
    assert ids(database, "automation_run", "chat_id") == {None}


def test_many_chats_go_in_several_transactions(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "AT_ONCE", 2)
    for number in range(5):
        add_chat(database, str(number), ALICE, number)
    add_chat(database, "new", ALICE, NOW)
    begun: list[str] = []
    database.set_trace_callback(begun.append)
    assert personal_data.main(database, {"do": "expire", "before": NOW})["chats"] == 5
    assert begun.count("begin immediate") == 3
    assert ids(database, "chat") == {"new"}


def test_a_file_goes_when_it_is_old_and_nothing_names_it(database: sqlite3.Connection) -> None:
    unused, in_chat, in_base, new = FILES
    for id in FILES:
        moment = NOW if id == new else NOW - 1
        add(database, "file", id=id, user_id=ALICE, hash="h", created_at=5, updated_at=moment)
    add_chat(database, "new", ALICE, NOW, text=f"/api/v1/files/{in_chat}/content")
    add_chat(database, "old", ALICE, NOW - 1, text=unused)
    add(database, "knowledge_file", id="1", knowledge_id="base", file_id=in_base)
    done = personal_data.main(database, {"do": "expire", "before": NOW})
    assert done == {"chats": 1, "files": [{"id": unused, "hash": "h"}]}


def test_deleted_text_is_not_left_in_the_file_of_the_database(
    database: sqlite3.Connection,
) -> None:
    add_chat(database, "old", ALICE, NOW - 1, text="what no one may read any more")
    personal_data.main(database, {"do": "expire", "before": NOW})
    database.close()
    assert b"no one may read" not in personal_data.DATABASE.read_bytes()


@pytest.fixture
def alice(database: sqlite3.Connection) -> sqlite3.Connection:
    """A database in which Alice has something of everything, and Bob has, too."""
    for owner, name in ((ALICE, "alice"), (BOB, "bob")):
        add_chat(database, f"chat of {name}", owner, NOW)
        for table in ("api_key", "memory", "automation"):
            add(database, table, id=f"{table} of {name}", user_id=owner)
        add(database, "channel_member", id=f"membership of {name}", channel_id="r", user_id=owner)
        add(database, "message", id=f"message of {name}", channel_id="r", user_id=owner)
    add(database, "automation_run", id="run", automation_id="automation of alice")
    add(database, "message_reaction", id="by bob", message_id="message of alice", user_id=BOB)
    add(database, "channel", id="r", user_id=ALICE, name="Room")
    add(database, "channel", id="own", user_id=ALICE, name="Own")
    add(database, "channel_member", id="in own", channel_id="own", user_id=ALICE)
    for kind in ("private", "shared"):
        add(database, "knowledge", id=f"{kind} base", user_id=ALICE, name=kind)
        add(database, "prompt", id=f"{kind} prompt", user_id=ALICE, name=kind)
        add(database, "prompt_history", id=kind, prompt_id=f"{kind} prompt", user_id=ALICE)
    group = {"principal_type": "group", "principal_id": "g"}
    for kind, id in (("knowledge", "shared base"), ("prompt", "shared prompt")):
        add(database, "access_grant", resource_type=kind, resource_id=id, **group)
    add(database, "access_grant", resource_type="x", principal_type="user", principal_id=ALICE)
    add(database, "model", id="llama", user_id=ALICE)
    add(database, "model", id="own preset", user_id=ALICE, base_model_id="llama")
    add(database, "group", id="g", user_id=ALICE, name="Research", description="")
    add(database, "group_member", id="gm", group_id="g", user_id=ALICE)
    bases = (None, "private base", "shared base")
    for id, base in zip(FILES[:3], bases, strict=True):
        add(database, "file", id=id, user_id=ALICE, filename=f"{base}.txt")
        if base:
            add(database, "knowledge_file", id=id, knowledge_id=base, file_id=id, user_id=ALICE)
    return database


def test_a_person_is_erased_and_shared_work_stays(alice: sqlite3.Connection) -> None:
    for _ in range(2):
        assert personal_data.main(alice, {"do": "erase", "user": ALICE}) == ["private base"]
    for table in ("chat", "api_key", "memory", "automation", "chat_message", "tag", "feedback"):
        found = owners(alice, table)
        assert found and {*found.values()} == {BOB}, table
    assert not ids(alice, "automation_run") | ids(alice, "message_reaction")
    assert not ids(alice, "group_member")
    assert owners(alice, "message") == {"message of bob": BOB}
    assert owners(alice, "channel_member") == {"membership of bob": BOB}
    assert owners(alice, "knowledge") == {"private base": ALICE, "shared base": "root"}
    assert owners(alice, "knowledge_file") == {FILES[2]: "root"}
    assert owners(alice, "prompt") == {"shared prompt": "root"}
    assert owners(alice, "prompt_history") == {"shared": "root"}
    assert owners(alice, "model") == {"llama": "root"}
    assert owners(alice, "channel") == {"r": "root"}
    assert owners(alice, "group") == {"g": "root"}
    assert ALICE not in ids(alice, "access_grant", "principal_id")
    # Open WebUI's interface deletes these, and the account.
    assert owners(alice, "file") == {FILES[0]: ALICE, FILES[1]: ALICE, FILES[2]: "root"}
    assert ids(alice, "user") == ids(alice, "auth") == {"root", ALICE, BOB}


def test_the_summary_has_what_is_deleted_and_what_stays(alice: sqlite3.Connection) -> None:
    found = personal_data.main(alice, {"do": "summary", "email": "alice@example.com"})
    assert (found["id"], found["role"]) == (ALICE, "user")
    assert (found["is_first"], found["other_admins"]) == (False, 1)
    root = personal_data.main(alice, {"do": "summary", "email": "root@example.com"})
    assert (root["is_first"], root["other_admins"]) == (True, 0)
    assert found["kept"] == {
        "channel": 1, "file": 1, "group": 1, "knowledge": 1, "model": 1, "prompt": 1
    }  # fmt: skip
    assert found["deleted"]["file"] == 2 and found["deleted"]["chat"] == 1
    assert personal_data.main(alice, {"do": "summary", "email": "eve@example.com"}) is None


def test_the_export_has_every_row_and_no_secret(alice: sqlite3.Connection) -> None:
    alice.execute("update api_key set key = 'sk-secret'")
    found = personal_data.main(alice, {"do": "export", "email": "alice@example.com"})
    assert "sk-secret" not in json.dumps(found) and "hash" not in json.dumps(found["user"])
    assert {row["id"] for row in found["file"]} == {*FILES[:3]}
    assert found["chat"][0]["chat"] == {"text": ""}, "JSON is decoded"
    assert found["automation_run"] == [
        {"id": "run", "automation_id": "automation of alice", "chat_id": None}
    ]
    assert found["member_of"] == [{"name": "Research", "description": ""}]
    assert BOB not in json.dumps(found)
    assert personal_data.main(alice, {"do": "export", "email": "eve@example.com"}) is None


def test_collections_of_the_search_are_deleted(
    alice: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"user-memory-{ALICE}", f"web-search-{ALICE}-1", f"user-memory-{BOB}", "x"]
    deleted: list[str] = []
    personal_data.VECTORS.mkdir()
    with sqlite3.connect(personal_data.VECTORS / "chroma.sqlite3") as chroma:
        chroma.execute("create table collections (name text)")
        chroma.executemany("insert into collections values (?)", [[name] for name in names])
    client = SimpleNamespace(delete_collection=deleted.append)
    library = SimpleNamespace(Settings=lambda **_: None, PersistentClient=lambda **_: client)
    monkeypatch.setitem(sys.modules, "chromadb", library)
    personal_data.main(alice, {"do": "erase", "user": ALICE})
    assert deleted == names[:2]


def test_a_version_without_some_tables(alice: sqlite3.Connection) -> None:
    for table in ("prompt_history", "automation_run", "channel_member", "channel", "message"):
        alice.execute(f"drop table {table}")
    alice.execute("drop table message_reaction")
    personal_data.main(alice, {"do": "erase", "user": ALICE})
    assert owners(alice, "chat") == {"chat of bob": BOB}
