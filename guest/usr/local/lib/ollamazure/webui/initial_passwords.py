"""Initial passwords: another one replaces the former, unless the owner has chosen a password."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from durable import write

from webui.accounts import find_user
from webui.client import WebuiSession, say
from webui.container import run_in_container
from webui.items import Item

# The hash that Open WebUI has for each account with its initial password, by e-mail. On the data
# disk, like the accounts. If the account has another hash now, its owner chose a password.
RECORD = Path("/srv/data/open-webui/initial-passwords.json")
# When a message with a password was made for whom, and the hash of that password, by e-mail. On the
# data disk as well: it is the same for every operator, and a new machine has it, too.
MESSAGES = Path("/srv/data/open-webui/invitations.json")
# Where Open WebUI's configuration has the checksums of all these hashes, for the hint to choose
# another password (guest/etc/ollamazure/open-webui/sitecustomize.py). Administrators can read it.
SHARED = "ollamazure.initial_passwords"


def renew_initial_password(webui: WebuiSession, path: Path, password: str) -> None:
    """Makes `password` that of the user whom the file `path` declares, unless the owner chose one.

    The account's sessions end with its former password.
    """
    email = str(json.loads(path.read_text())["email"]).lower()
    user = find_user(webui, email)
    if user is None or not password:
        return
    recorded = recorded_hashes()
    stored = read_credentials({email: password})[email]
    if not stored["matches"] and stored["hash"] == recorded.get(email):
        webui.post(f"/api/v1/users/{user['id']}/update", {"password": password})
        stored = read_credentials({email: password})[email]
        say(f"{email} never changed the initial password, and has the new one now.")
    if stored["matches"] and stored["hash"] != recorded.get(email):
        write(RECORD, json.dumps({**recorded, email: stored["hash"]}))
        share_initial_passwords(webui)


def share_initial_passwords(webui: WebuiSession) -> None:
    """Lets Open WebUI find the users who did not choose their password, if there may be any."""
    sent = [message["hash"] for message in read_messages().values()]
    hashes = {*recorded_hashes().values(), *sent}
    if hashes:
        checksums = sorted(hashlib.sha256(each.encode()).hexdigest() for each in hashes)
        webui.post("/api/v1/configs/import", {"config": {SHARED: checksums}})


def recorded_hashes() -> dict[str, str]:
    return dict(json.loads(RECORD.read_text())) if RECORD.exists() else {}


def read_messages() -> dict[str, Item]:
    return dict(json.loads(MESSAGES.read_text())) if MESSAGES.exists() else {}


def read_credentials(passwords: Mapping[str, str | None]) -> dict[str, Item]:
    """What the database has of the accounts with these e-mails; see in_container/credentials.py."""
    found: dict[str, Item] = json.loads(run_in_container("credentials", json.dumps(passwords)))
    return found
