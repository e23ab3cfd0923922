"""Prints a session token of the first administrator, valid for ten minutes.

It has the type of Open WebUI's own automations: where an administrator demands a second factor, the
session of a person without one is refused (`is_valid_token` in open_webui/utils/auth.py).
"""

import os
import sqlite3
import time
import uuid

import jwt

database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
[user] = database.execute(
    "select id from user where role = 'admin' order by created_at, id limit 1"
).fetchone()
now = int(time.time())
claims = {"id": user, "typ": "automation", "jti": str(uuid.uuid4()), "iat": now, "exp": now + 600}
# Versions before 0.12 have no such column.
if any(column[1] == "session_stamp" for column in database.execute("pragma table_info(auth)")):
    [claims["session_stamp"]] = database.execute(
        "select session_stamp from auth where id = ?", [user]
    ).fetchone()
print(jwt.encode(claims, os.environ["WEBUI_SECRET_KEY"], algorithm="HS256"))
