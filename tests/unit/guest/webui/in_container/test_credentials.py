"""What is read of accounts, for each version of Open WebUI that can be upgraded.

tests/e2e/test_people_accounts.py reads the database of the real one.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.remote_command import GUEST

SOURCE = GUEST / "usr/local/lib/ollamazure/webui/in_container/credentials.py"
# The library of the container.
BCRYPT = "def checkpw(password, hashed):\n    return hashed == b'#' + password\n"
NONE = {"hash": "", "matches": False, "second_factor": "none"}


def read(tmp_path: Path, given: Mapping[str, str | None]) -> Any:
    (tmp_path / "bcrypt.py").write_text(BCRYPT)
    text = SOURCE.read_text().replace("/app/backend/data/webui.db", f"{tmp_path}/webui.db")
    printed = subprocess.check_output(
        [sys.executable, "-c", text],
        input=json.dumps(given).encode(),
        env={"PYTHONPATH": str(tmp_path)},
    )
    return json.loads(printed)


@pytest.fixture
def database(tmp_path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(tmp_path / "webui.db")
    database.execute("create table auth (email text, password text)")
    for email, password in (("alice", "#hers"), ("bob", "#his"), ("carol", None)):
        database.execute("insert into auth values (?, ?)", [email, password])
    database.commit()
    return database


def test_passwords_match_or_not(database: sqlite3.Connection, tmp_path: Path) -> None:
    given = {"alice": "hers", "bob": "hers", "carol": "", "dave": "x"}
    assert read(tmp_path, given) == {
        "alice": {"hash": "#hers", "matches": True, "second_factor": "none"},
        "bob": {"hash": "#his", "matches": False, "second_factor": "none"},
        "carol": NONE,
        "dave": NONE,
    }


def test_second_factors(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("alter table auth add column mfa text")
    for email, factor in (
        ("alice", {"secret": "encrypted", "reset_required": False}),
        ("bob", {"secret": None, "reset_required": True}),
        ("carol", {"secret": None, "limits": {}}),
    ):
        database.execute("update auth set mfa = ? where email = ?", [json.dumps(factor), email])
    database.commit()
    found = read(tmp_path, {"alice": None, "bob": None, "carol": None})
    states = {email: known["second_factor"] for email, known in found.items()}
    assert states == {"alice": "set up", "bob": "reset", "carol": "none"}
    assert not any(known["matches"] for known in found.values())
