"""Initial passwords: another one replaces the former, unless the owner has chosen a password."""

from __future__ import annotations

import json
from pathlib import Path

from durable import write

from webui.accounts import find_user
from webui.client import WebuiSession, say
from webui.container import run_in_container

# The hash that Open WebUI has for each account with its initial password, by e-mail. On the data
# disk, like the accounts. If the account has another hash now, its owner chose a password.
RECORD = Path("/srv/data/open-webui/initial-passwords.json")


def renew_initial_password(webui: WebuiSession, path: Path, password: str) -> None:
    """Makes `password` that of the user whom the file `path` declares, unless the owner chose one.

    The account's sessions end with its former password.
    """
    email = str(json.loads(path.read_text())["email"]).lower()
    user = find_user(webui, email)
    if user is None or not password:
        return
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    stored = stored_password(email, password)
    if not stored["matches"] and stored["hash"] == recorded.get(email):
        webui.post(f"/api/v1/users/{user['id']}/update", {"password": password})
        stored = stored_password(email, password)
        say(f"{email} never changed the initial password, and has the new one now.")
    if stored["matches"] and stored["hash"] != recorded.get(email):
        write(RECORD, json.dumps({**recorded, email: stored["hash"]}))


def stored_password(email: str, password: str) -> dict[str, str | bool]:
    """The hash that the database has for an account, and whether it is that of `password`."""
    credentials = json.dumps({"email": email, "password": password})
    found: dict[str, str | bool] = json.loads(run_in_container("stored_password", credentials))
    return found
