"""The people whom the settings declare, the messages that were made for them, and new passwords."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterable

from durable import write

from webui import initial_passwords
from webui.accounts import PENDING, explain_first_account, find_user, group_ids
from webui.admin import declared_admin
from webui.client import WebuiSession, say
from webui.errors import WebuiError
from webui.initial_passwords import read_credentials, read_messages, share_initial_passwords
from webui.items import Item, declared_files

# Open WebUI sets both times of a new account, and a second can pass between them.
SAME_MOMENT = 1  # seconds


def list_people(webui: WebuiSession, passwords: dict[str, str]) -> list[Item]:
    """The declared users, by e-mail.

    `passwords` has the initial passwords of those of whom the caller needs to know whether they
    still have it. Times are in seconds since 1970; an account that was never used has none.
    """
    declared = [json.loads(path.read_text()) for path in declared_files("user")]
    people = {str(user["email"]).lower(): user for user in declared if user["state"] != "deleted"}
    accounts = {user["email"]: user for user in webui.pages("/api/v1/users/", "users")}
    groups = {id: name for name, id in group_ids(webui).items()}
    credentials = read_credentials({email: passwords.get(email) for email in people})
    messages = read_messages()
    found = []
    for email, user in sorted(people.items()):
        account, known = accounts.get(email), credentials[email]
        person = {
            "email": email,
            "name": user["name"],
            "state": "missing",
            "groups": [],
            "last_active": None,
            "second_factor": known["second_factor"],
            "has_initial_password": known["matches"],
            "message": None,
        }
        if account:
            person["state"] = "suspended" if account["role"] == PENDING else "active"
            person["groups"] = sorted(groups[id] for id in account["group_ids"] if id in groups)
            if account["last_active_at"] > account["created_at"] + SAME_MOMENT:
                person["last_active"] = account["last_active_at"]
            # A message with a former password is none that its owner can use.
            if messages.get(email, {}).get("hash") == known["hash"]:
                person["message"] = messages[email]["at"]
        found.append(person)
    return found


def record_messages(emails: Iterable[str]) -> None:
    """Records that a message with the present password was made for each of these accounts."""
    now = int(time.time())
    made = {
        email: {"at": now, "hash": known["hash"]}
        for email, known in read_credentials(dict.fromkeys(emails)).items()
        if known["hash"]
    }
    write(initial_passwords.MESSAGES, json.dumps({**read_messages(), **made}))


def reset_password(webui: WebuiSession, email: str) -> str:
    """Gives an account another password, which is returned, and ends its sessions.

    It counts as chosen: `pulumi up` and another rotation of the initial passwords leave it alone,
    because initial_passwords.py has the hash of the initial one.
    """
    user = find_user(webui, email)
    if user is None:
        raise WebuiError(f"no account has the e-mail {email}.")
    if email == declared_admin():
        raise WebuiError(
            f"{email} is the administrator, whose password is a setting:"
            " docs/how-to/read-the-password.md has the command."
        )
    if user["role"] == PENDING:
        raise WebuiError(
            f"the account of {email} is suspended, and its password changes nothing about that."
        )
    password = new_password()
    with explain_first_account():
        webui.post(f"/api/v1/users/{user['id']}/update", {"password": password})
    webui.post(f"/api/v1/users/{user['id']}/sessions/revoke", {})
    record_messages([email])
    share_initial_passwords(webui)
    say(f"{email} has another password and is signed out.")
    return password


def new_password() -> str:
    """A password of 125 random bits, in the form of the initial ones."""
    text = base64.b32encode(secrets.token_bytes(16)).decode().lower()
    return "-".join(text[start : start + 5] for start in range(0, 25, 5))
