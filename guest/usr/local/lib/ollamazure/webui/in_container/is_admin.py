"""Prints whether the declared administrator could sign in: true or false.

Standard input: {"email": …, "password": …}. It reads the database, so Open WebUI counts no sign-in.
"""

import json
import sqlite3
import sys

import bcrypt

admin = json.load(sys.stdin)
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
row = database.execute(
    "select auth.password from user join auth on auth.id = user.id"
    " where user.email = ? and user.role = 'admin' and auth.active",
    [admin["email"]],
).fetchone()
print(json.dumps(bool(row and bcrypt.checkpw(admin["password"].encode(), row[0].encode()))))
