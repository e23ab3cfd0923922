"""Gives the account of the declared administrator its address, role and password.

Standard input: {"email": …, "name": …, "password": …}. The account with this address becomes an
administrator. If there is none, the first account gets the address: this program created it, and
Open WebUI never deletes it. Prints {"first": the first account's address before, "was_renamed": …}.
"""

import json
import sqlite3
import sys
import uuid

import bcrypt

admin = json.load(sys.stdin)
hashed = bcrypt.hashpw(admin["password"].encode(), bcrypt.gensalt()).decode()
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
with database:
    row = database.execute("select id from user where email = ?", [admin["email"]]).fetchone()
    first_id, first = database.execute(
        "select id, email from user order by created_at, role != 'admin', id limit 1"
    ).fetchone()
    print(json.dumps({"first": first, "was_renamed": row is None}))
    if row is None:
        row = [first_id]
        database.execute("update user set name = ? where id = ?", [admin["name"], row[0]])
    for table in ("user", "auth"):
        statement = f"update {table} set email = ? where id = ?"  # noqa: S608
        database.execute(statement, [admin["email"], row[0]])
    database.execute("update user set role = 'admin' where id = ?", row)
    database.execute("update auth set password = ?, active = 1 where id = ?", [hashed, row[0]])
    # Versions before 0.12 have no such column.
    if any(column[1] == "session_stamp" for column in database.execute("pragma table_info(auth)")):
        stamp = str(uuid.uuid4())  # which ends the sessions
        database.execute("update auth set session_stamp = ? where id = ?", [stamp, row[0]])
