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
user, stamp = database.execute(
    "select user.id, auth.session_stamp from user join auth on auth.id = user.id"
    " where user.role = 'admin' order by user.created_at, user.id limit 1"
).fetchone()
now = int(time.time())
claims = {
    "id": user,
    "session_stamp": stamp,
    "typ": "automation",
    "jti": str(uuid.uuid4()),
    "iat": now,
    "exp": now + 600,
}
print(jwt.encode(claims, os.environ["WEBUI_SECRET_KEY"], algorithm="HS256"))
