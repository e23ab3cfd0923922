"""A chat's data below a folder, with a real SQLite database that is in use, and a repository."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from backup.places import DataPlaces

IMAGE = "ghcr.io/open-webui/open-webui:v0.12.4@sha256:1234"


def make_chat(root: Path, *, key: str = "the-key-of-the-stack") -> DataPlaces:
    """The data of a chat with two users, a chat and an upload; no backup yet."""
    places = DataPlaces(root)
    (places.volume / "uploads").mkdir(parents=True)
    (places.volume / "cache").mkdir()
    (places.volume / "cache/model").write_text("not saved")
    (places.volume / "uploads/1_report.txt").write_text("quarterly numbers")
    with connect(places) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE user (email TEXT)")
        database.execute("CREATE TABLE chat (text TEXT)")
        database.execute("CREATE TABLE file (path TEXT)")
        database.execute("INSERT INTO user VALUES ('admin@example.com'), ('alice@example.com')")
        database.execute("INSERT INTO chat VALUES ('hello')")
    vectors = places.volume / "vector_db"
    (vectors / "segment").mkdir(parents=True)
    (vectors / "segment/data_level0.bin").write_bytes(b"index")
    with contextlib.closing(sqlite3.connect(vectors / "chroma.sqlite3")) as database:
        database.execute("CREATE TABLE collections (name TEXT)")
    places.webui.mkdir()
    (places.webui / "secrets.env").write_text("WEBUI_SECRET_KEY=first\n")
    (places.declared / "user").mkdir(parents=True)
    (places.declared / "user/alice.json").write_text('{"email": "alice@example.com"}')
    places.unit.parent.mkdir(parents=True)
    places.unit.write_text(f"[Container]\nImage={IMAGE}\n")
    set_up(places, key)
    return places


def set_up(
    places: DataPlaces,
    key: str,
    repository: str | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Writes what the command of the stack writes."""
    places.settings.parent.mkdir(parents=True, exist_ok=True)
    places.settings.write_text(
        json.dumps(
            {
                "repository": repository or str(places.home / "repository"),
                "environment": environment or {},
                "keep": {"daily": 7, "weekly": 5, "monthly": 12},
            }
        )
    )
    places.key.write_text(key)


@contextlib.contextmanager
def connect(places: DataPlaces) -> Iterator[sqlite3.Connection]:
    """A connection to the database that commits at the end."""
    with (
        contextlib.closing(sqlite3.connect(places.volume / "webui.db", timeout=10)) as database,
        database,
    ):
        yield database


def add_chat(places: DataPlaces, text: str) -> None:
    with connect(places) as database:
        database.execute("INSERT INTO chat VALUES (?)", [text])


def chats(folder: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(folder / "webui.db")) as database:
        return [text for (text,) in database.execute("SELECT text FROM chat ORDER BY rowid")]
