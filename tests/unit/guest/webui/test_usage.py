"""Tokens by period, user and model. With a real Open WebUI: tests/e2e/test_operations.py."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from webui import __main__, usage
from webui.errors import WebuiError

# The columns that matter here of Open WebUI 0.12.4 (models/chat_messages.py, models/users.py).
TABLES = """
CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT, email TEXT);
CREATE TABLE chat_message (id TEXT PRIMARY KEY, chat_id TEXT, user_id TEXT, role TEXT,
    content JSON, model_id TEXT, usage JSON, created_at BIGINT);
INSERT INTO user VALUES ('a', 'Alice', 'alice@example.com'), ('b', 'Bob', 'bob@example.com');
"""
ALL_TIME = (0, 4102444800)


class Database:
    """Open WebUI's, with what each test stores in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.execute(TABLES)

    def execute(self, script: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(script)

    def stores(
        self,
        day: str | float,
        user: str = "a",
        model: str = "small:1b",
        usage: Any = None,
        role: str = "assistant",
    ) -> None:
        at = datetime.fromisoformat(f"{day}Z").timestamp() if isinstance(day, str) else day
        with closing(sqlite3.connect(self.path)) as connection:
            number = connection.execute("SELECT count(*) FROM chat_message").fetchone()[0]
            text = usage if isinstance(usage, str) else json.dumps(usage)
            row = (f"chat-{number}", "chat", user, role, "a secret", model, text, at)
            connection.execute("INSERT INTO chat_message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.commit()


def tokens(read: int, written: int) -> dict[str, int]:
    return {"input_tokens": read, "output_tokens": written}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(usage, "find_volume", lambda: tmp_path)
    return Database(tmp_path / "webui.db")


def rows(by: str = "day", since: int = 0, until: int = ALL_TIME[1]) -> list[tuple[Any, ...]]:
    names = ("period", "email", "model", "answers", "input_tokens", "output_tokens")
    return [tuple(row[name] for name in names) for row in usage.read_usage(by, since, until)]


def test_answers_are_added_up_by_user_and_model(database: Database) -> None:
    database.stores("2027-01-31T23:59:59", usage=tokens(100, 10))
    database.stores("2027-01-31T00:00:00", usage=tokens(200, 20))
    database.stores("2027-01-31T12:00:00", model="coach", usage=tokens(5, 5))
    database.stores("2027-01-31T12:00:00", user="b", usage=tokens(1, 1))
    database.stores("2027-01-31T12:00:00", usage=tokens(999, 999), role="user")
    assert rows() == [
        ("2027-01-31", "alice@example.com", "small:1b", 2, 300, 30),
        ("2027-01-31", "alice@example.com", "coach", 1, 5, 5),
        ("2027-01-31", "bob@example.com", "small:1b", 1, 1, 1),
    ]
    assert "a secret" not in json.dumps(usage.read_usage("day", *ALL_TIME))


@pytest.mark.parametrize(
    ("by", "periods"),
    [
        ("day", ["2026-12-31", "2027-01-03", "2027-01-04", "2027-02-01"]),
        ("week", ["2026-12-28", "2027-01-04", "2027-02-01"]),
        ("month", ["2026-12", "2027-01", "2027-02"]),
    ],
)
def test_periods(database: Database, by: str, periods: list[str]) -> None:
    """2027 begins on a Friday."""
    for day in ("2026-12-31", "2027-01-03", "2027-01-04", "2027-02-01"):
        database.stores(f"{day}T23:30:00", usage=tokens(1, 1))
    assert [row[0] for row in rows(by)] == periods


def test_since_and_until(database: Database) -> None:
    for day in ("2027-01-30", "2027-01-31", "2027-02-01"):
        database.stores(f"{day}T00:00:00", usage=tokens(1, 1))
    start = int(datetime(2027, 1, 31, tzinfo=UTC).timestamp())
    assert [row[0] for row in rows(since=start, until=start + 86400)] == ["2027-01-31"]


def test_a_time_in_milliseconds_is_the_same_moment(database: Database) -> None:
    database.stores("2027-01-31T12:00:00", usage=tokens(1, 1))
    milliseconds = datetime(2027, 1, 31, 13, tzinfo=UTC).timestamp() * 1000
    database.stores(milliseconds, usage=tokens(2, 2))
    assert rows() == [("2027-01-31", "alice@example.com", "small:1b", 2, 3, 3)]


@pytest.mark.parametrize(
    ("stored", "counted"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, (7, 3)),
        ({**tokens(7, 3), "prompt_tokens": 1, "completion_tokens": 1}, (7, 3)),
        (None, (0, 0)),  # an answer that was stopped
        ({}, (0, 0)),
        ("not JSON", (0, 0)),
        ("[]", (0, 0)),
        ({"input_tokens": "7", "output_tokens": -3}, (7, 0)),
        (tokens(2**70, 2**62), (10**9, 10**9)),
    ],
)
def test_what_a_row_can_have(database: Database, stored: Any, counted: tuple[int, int]) -> None:
    database.stores("2027-01-31T12:00:00", usage=stored)
    assert rows() == [("2027-01-31", "alice@example.com", "small:1b", 1, *counted)]


def test_no_number_that_a_user_stores_breaks_the_sum(database: Database) -> None:
    for _ in range(3):
        database.stores("2027-01-31T12:00:00", usage=tokens(2**63 - 1, 2**63 - 1))
    assert rows()[0][3:] == (3, 3 * 10**9, 3 * 10**9)


def test_an_answer_in_the_name_of_no_account(database: Database) -> None:
    database.stores("2027-01-31T12:00:00", user="gone", usage=tokens(1, 1))
    assert rows() == [("2027-01-31", None, "small:1b", 1, 1, 1)]


def test_the_database_is_only_read(database: Database, tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        usage.rows_of(database.path, "DELETE FROM user", *ALL_TIME)


def test_a_database_of_another_form(database: Database) -> None:
    database.execute("DROP TABLE chat_message")
    with pytest.raises(WebuiError, match="no such table: chat_message"):
        rows()


def test_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "find_volume", lambda: tmp_path)
    with pytest.raises(WebuiError, match="no database"):
        rows()


def test_the_command_reads_what_is_wanted_and_prints_json(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database.stores("2027-01-31T12:00:00", usage=tokens(7, 3))
    wanted = {"by": "month", "since": 0, "until": ALL_TIME[1]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(wanted)))
    assert __main__.main(["usage"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["period"], row["name"], row["input_tokens"]) == ("2027-01", "Alice", 7)
