"""Finds, prints and deletes what people have in Open WebUI's database. Prints JSON.

Standard input, as JSON: {"do": ACTION, …} with
    {"do": "summary", "email": …}    how many rows of each table the account has; null without one
    {"do": "export", "email": …}     these rows
    {"do": "erase", "user": ID}      deletes them, except the account, its files and its knowledge
                                     bases; prints the ids of those that no one else may use
    {"do": "expire", "before": …}    deletes chats that have not changed since then (seconds since
                                     1970); prints their number and the files that nothing uses

Open WebUI's interface deletes one chat at a time, without a condition, and leaves its ratings and
its links to files. With an account it deletes the chats and the memberships only
(`delete_user_by_id` in open_webui/models/users.py of 0.12.4), and SQLite does not check the foreign
keys of its tables. Each step is one transaction, so this program can run again at any moment.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DATABASE = Path("/app/backend/data/webui.db")
VECTORS = Path("/app/backend/data/vector_db")
AT_ONCE = 100  # chats in a transaction; Open WebUI waits meanwhile
FILE_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Rows that belong to another row: their table, what has that row's id, and its table.
CHILDREN = (
    ("chat_message", "chat_id", "chat"),
    ("chat_file", "chat_id", "chat"),
    ("shared_chat", "chat_id", "chat"),
    ("feedback", "json_extract(meta, '$.chat_id')", "chat"),
    ("automation_run", "automation_id", "automation"),
    ("calendar_event", "calendar_id", "calendar"),
    ("calendar_event_attendee", "event_id", "calendar_event"),
    ("message", "channel_id", "channel"),
    ("message_reaction", "message_id", "message"),
    ("channel_file", "message_id", "message"),
    ("channel_member", "channel_id", "channel"),
    ("channel_webhook", "channel_id", "channel"),
    ("pinned_note", "note_id", "note"),
    ("knowledge_file", "knowledge_id", "knowledge"),
    ("knowledge_directory", "knowledge_id", "knowledge"),
    *((f"{item}_history", f"{item}_id", item) for item in ("model", "prompt", "skill", "tool")),
)
# Work that others may use: where the condition holds, it stays and an administrator owns it then.
SHARED = "id in (select resource_id from access_grant where resource_type = '{table}')"
HAS_MEMBERS = "id in (select channel_id from channel_member where user_id <> :user)"
# In a knowledge base that stays.
IN_USE = """id in (select file_id from knowledge_file where knowledge_id in (
    select id from knowledge where user_id <> :user or id in (
        select resource_id from access_grant where resource_type = 'knowledge')))"""
WORK = {
    **dict.fromkeys(("knowledge", "prompt", "skill", "tool"), SHARED),
    # A row without a base model has settings of a model for everyone.
    "model": f"base_model_id is null or {SHARED}",
    "channel": f"{HAS_MEMBERS} or {SHARED}",
    "file": IN_USE,
    **dict.fromkeys(("app", "function", "group"), "true"),
}
# Parts of such work.
PARTS = (
    *("channel_webhook", "knowledge_directory", "knowledge_file"),
    *(f"{item}_history" for item in ("function", "model", "prompt", "skill", "tool")),
)
# Open WebUI's interface deletes these, with what the search has of them.
BY_INTERFACE = ("file", "knowledge")
SECRETS = {"api_key", "key", "token", "valves"}


def main(database: sqlite3.Connection, wanted: dict[str, Any]) -> Any:
    match wanted["do"]:
        case "summary":
            user = find_user(database, wanted["email"])
            return user and summary(database, user)
        case "export":
            user = find_user(database, wanted["email"])
            return user and export(database, user)
        case "erase":
            return erase(database, wanted["user"])
        case "expire":
            return expire(database, wanted["before"])
    raise ValueError(wanted["do"])


def find_user(database: sqlite3.Connection, email: str) -> dict[str, Any] | None:
    row = database.execute("select * from user where lower(email) = ?", [email]).fetchone()
    return dict(row) if row else None


def summary(database: sqlite3.Connection, user: dict[str, Any]) -> dict[str, Any]:
    given, work = {"user": user["id"]}, conditions(database)
    deleted, kept = {}, {}
    for table in owned_tables(database):
        if table not in PARTS:
            stays = f"({work.get(table, 'false')})"
            deleted[table] = count(database, table, f"user_id = :user and not {stays}", given)
            kept[table] = count(database, table, f"user_id = :user and {stays}", given)
    first = "select id from user order by created_at, id limit 1"
    return {
        **{key: user[key] for key in ("id", "email", "name", "role")},
        "is_first": database.execute(first).fetchone()[0] == user["id"],
        "other_admins": count(database, "user", "role = 'admin' and id <> :user", given),
        "deleted": {table: number for table, number in deleted.items() if number},
        "kept": {table: number for table, number in kept.items() if number},
    }


def export(database: sqlite3.Connection, user: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """All rows of the account, by table; without passwords, keys and tokens."""
    given = {"user": user["id"]}
    tables = owned_tables(database)
    found = {table: select(database, table, "user_id = :user", given) for table in tables}
    for child, column, parent in CHILDREN:
        if child not in tables and parent in tables and columns(database, child):
            theirs = f'{column} in (select id from "{parent}" where user_id = :user)'  # noqa: S608
            found[child] = select(database, child, theirs, given)
    members = "id in (select group_id from group_member where user_id = :user)"
    found["member_of"] = [
        {key: row[key] for key in ("name", "description")}
        for row in select(database, "group", members, given)
    ]
    found["user"] = [user]
    return {table: [*map(readable, rows)] for table, rows in found.items() if rows}


def erase(database: sqlite3.Connection, user: str) -> list[str]:
    """Deletes what only this account uses; the rest belongs to the first administrator then."""
    [heir] = database.execute(
        "select id from user where role = 'admin' and id <> ? order by created_at, id limit 1",
        [user],
    ).fetchone()
    given, work = {"user": user, "heir": heir}, conditions(database)
    delete_collections((f"user-memory-{user}", f"web-search-{user}-"))
    with transaction(database):
        for table in owned_tables(database):
            stays = work.get(table, "true" if table in PARTS else "false")
            theirs = f"user_id = :user and not ({stays})"
            if table in BY_INTERFACE:
                delete_children(database, table, theirs, given)
            else:
                delete(database, table, theirs, given)
            change = f'update "{table}" set user_id = :heir where user_id = :user and ({stays})'  # noqa: S608
            database.execute(change, given)
        principal = "principal_type = 'user' and principal_id = :user"
        delete(database, "access_grant", principal, given)
    return [row["id"] for row in select(database, "knowledge", "user_id = :user", given)]


def expire(database: sqlite3.Connection, before: int) -> dict[str, Any]:
    chats = 0
    while True:
        with transaction(database):
            oldest = "select id from chat where updated_at < ? order by updated_at limit ?"
            ids = [row["id"] for row in database.execute(oldest, [before, AT_ONCE])]
            given = {"ids": json.dumps(ids)}
            chosen = "in (select value from json_each(:ids))"
            if columns(database, "automation_run"):
                change = f"update automation_run set chat_id = null where chat_id {chosen}"  # noqa: S608
                database.execute(change, given)
            delete(database, "chat", f"id {chosen}", given)
            used = "select t.value from chat, json_each(chat.meta, '$.tags') as t"
            used += " where chat.user_id = tag.user_id"
            if ids:  # tags by which no chat can be found any more
                database.execute(f"delete from tag where id not in ({used})")  # noqa: S608
        chats += len(ids)
        if len(ids) < AT_ONCE:
            return {"chats": chats, "files": unused_files(database, before)}


def unused_files(database: sqlite3.Connection, before: int) -> list[dict[str, Any]]:
    """The files that were not changed since then and that no row of another table names."""
    old = "select id, hash from file where coalesce(updated_at, created_at) < ?"
    files = {row["id"]: dict(row) for row in database.execute(old, [before])}
    for table in tables_of(database) if files else ():
        if table == "file":
            continue
        for row in database.execute(f'select * from "{table}"'):  # noqa: S608
            for value in row:
                for id in FILE_ID.findall(value) if isinstance(value, str) else ():
                    files.pop(id, None)
    return [*files.values()]


def delete(database: sqlite3.Connection, table: str, condition: str, given: dict[str, Any]) -> None:
    """Deletes rows with all that belongs to them."""
    if not columns(database, table):
        return
    delete_children(database, table, condition, given)
    if table != "access_grant":
        kind = {"chat": "shared_chat"}.get(table, table)
        grants = f"resource_type = '{kind}' and resource_id in ({ids_of(table, condition)})"
        delete(database, "access_grant", grants, given)
    database.execute(f'delete from "{table}" where {condition}', given)  # noqa: S608


def delete_children(
    database: sqlite3.Connection, table: str, condition: str, given: dict[str, Any]
) -> None:
    for child, column, parent in CHILDREN:
        if parent == table:
            delete(database, child, f"{column} in ({ids_of(table, condition)})", given)


def ids_of(table: str, condition: str) -> str:
    return f'select id from "{table}" where {condition}'  # noqa: S608


def delete_collections(names: tuple[str, ...]) -> None:
    """Deletes the collections of the search whose names start so.

    Open WebUI runs at the same time: Chroma keeps its list in SQLite, and both see the change.
    """
    if not (VECTORS / "chroma.sqlite3").exists():
        return
    with sqlite3.connect(VECTORS / "chroma.sqlite3", timeout=30) as listed:
        found = [name for [name] in listed.execute("select name from collections")]
    if not any(name.startswith(names) for name in found):
        return
    import chromadb  # noqa: PLC0415  it takes a second

    # As Open WebUI opens it.
    settings = chromadb.Settings(allow_reset=True, anonymized_telemetry=False)
    client = chromadb.PersistentClient(path=str(VECTORS), settings=settings)
    for name in found:
        if name.startswith(names):
            client.delete_collection(name)


def conditions(database: sqlite3.Connection) -> dict[str, str]:
    """When rows of these tables stay, for the tables that this version has."""
    return {
        table: condition.format(table=table)
        for table, condition in WORK.items()
        if columns(database, table)
    }


def owned_tables(database: sqlite3.Connection) -> list[str]:
    return [table for table in tables_of(database) if "user_id" in columns(database, table)]


def tables_of(database: sqlite3.Connection) -> list[str]:
    listed = database.execute("select name from sqlite_master where type = 'table'")
    return sorted(row["name"] for row in listed)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """What other writers do is before it or after it."""
    database.execute("begin immediate")
    with database:
        yield


def columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f'pragma table_info("{table}")')}


def select(
    database: sqlite3.Connection, table: str, condition: str, given: dict[str, Any]
) -> list[dict[str, Any]]:
    statement = f'select * from "{table}" where {condition}'  # noqa: S608
    return [dict(row) for row in database.execute(statement, given)]


def count(database: sqlite3.Connection, table: str, condition: str, given: dict[str, Any]) -> int:
    statement = f'select count(*) from "{table}" where {condition}'  # noqa: S608
    return int(database.execute(statement, given).fetchone()[0])


def readable(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its JSON as values, and without secrets."""
    return {
        name: "(a secret, not exported)" if name in SECRETS and value else decoded(value)
        for name, value in row.items()
    }


def decoded(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def connect() -> sqlite3.Connection:
    database = sqlite3.connect(DATABASE, timeout=60, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("pragma secure_delete = on")  # overwrites what is deleted
    return database


if __name__ == "__main__":
    print(json.dumps(main(connect(), json.load(sys.stdin))))
