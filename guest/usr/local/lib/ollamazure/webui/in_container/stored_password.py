"""Prints the hash of an account's password, and whether it is that of a given password.

Standard input: {"email": …, "password": …}. Prints {"hash": …, "matches": …}; the hash is empty if
there is no such account. It reads the database, so Open WebUI counts no sign-in.
"""

import json
import sqlite3
import sys

import bcrypt

given = json.load(sys.stdin)
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
row = database.execute("select password from auth where email = ?", [given["email"]]).fetchone()
stored = row[0] if row and row[0] else ""
matches = bool(stored) and bcrypt.checkpw(given["password"].encode(), stored.encode())
print(json.dumps({"hash": stored, "matches": matches}))
