"""Prints what the database has of some accounts: password and second factor, as a JSON object.

Standard input: {e-mail: a password, or null}. Prints, by e-mail, {"hash": …, "matches": …,
"second_factor": …}: the hash of the password, whether it is that of the given one, and whether a
second factor is "set up", is being "reset", or is "none". The hash is empty if there is no such
account. It reads the database, so Open WebUI counts no sign-in.
"""

import json
import sqlite3
import sys

import bcrypt

given = json.load(sys.stdin)
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
# Versions before 0.12 have no such column.
with_mfa = any(column[1] == "mfa" for column in database.execute("pragma table_info(auth)"))
rows = database.execute(f"select email, password, {'mfa' if with_mfa else 'null'} from auth")  # noqa: S608
none = {"hash": "", "matches": False, "second_factor": "none"}
found = dict.fromkeys(given, none)
for email, stored, mfa in rows:
    if email not in given:
        continue
    password, factor = given[email], json.loads(mfa or "null") or {}
    matches = stored and password and bcrypt.checkpw(password.encode(), stored.encode())
    state = "set up" if factor.get("secret") else "none"
    found[email] = {
        "hash": stored or "",
        "matches": bool(matches),
        "second_factor": "reset" if factor.get("reset_required") else state,
    }
print(json.dumps(found))
