"""The session of the machine's own tools, for each version of Open WebUI that can be upgraded.

tests/e2e/test_people_contract.py uses one with the real Open WebUI.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from components.remote_command import GUEST

SOURCE = GUEST / "usr/local/lib/ollamazure/webui/in_container/session.py"
# The library of the container.
JWT = "import json\n\n\ndef encode(claims, *_, **__):\n    return json.dumps(claims)\n"


@pytest.mark.parametrize("stamp", [None, "s1"], ids=["0.11", "0.12"])
def test_it_is_of_the_first_administrator(stamp: str | None, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "webui.db") as database:
        database.execute("create table user (id text, role text, created_at int)")
        database.execute("insert into user values ('b', 'admin', 2), ('a', 'user', 0)")
        database.execute("insert into user values ('c', 'admin', 1)")
        database.execute("create table auth (id text)")
        database.execute("insert into auth values ('c')")
        if stamp:
            database.execute("alter table auth add column session_stamp text default 's1'")
    (tmp_path / "jwt.py").write_text(JWT)
    text = SOURCE.read_text().replace("/app/backend/data/webui.db", f"{tmp_path}/webui.db")
    environment = {"PYTHONPATH": str(tmp_path), "WEBUI_SECRET_KEY": "key"}
    printed = subprocess.check_output([sys.executable, "-c", text], env=environment)
    claims = json.loads(printed)
    assert (claims["id"], claims.get("session_stamp")) == ("c", stamp)
    assert claims["exp"] - claims["iat"] == 600
