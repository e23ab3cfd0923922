"""The administrator's account, which root can set when the declared password fails."""

from __future__ import annotations

import json
from pathlib import Path

from durable import write

from webui.client import say
from webui.container import run_in_container
from webui.errors import WebuiError

# The e-mail of the administrator that was declared last; on the data disk, like the account.
RECORD = Path("/srv/data/open-webui/administrator")
NEVER_DECLARED = "admin@localhost"  # the first account before the first `up`; start-open-webui


def set_admin(admin: dict[str, str]) -> None:
    """Makes the declared administrator able to sign in with the declared password.

    It asks the database rather than signing in: Open WebUI limits sign-ins by e-mail address, so
    anyone who knows the administrator's could make this wait.
    """
    credentials = json.dumps(admin)
    former = declared_admin()
    if can_sign_in(credentials):
        say("The declared administrator can sign in.")
    else:
        say("The declared administrator cannot sign in; setting the account as root.")
        renamed = json.loads(run_in_container("set_admin", credentials))
        if not can_sign_in(credentials):
            raise WebuiError("the administrator's account is set, but still cannot sign in.")
        # A version that did not record the administrator declared the first account.
        first = renamed["first"]
        former = former or first
        if renamed["was_renamed"]:
            if first != NEVER_DECLARED:
                say(f"The account of {first} has the e-mail {admin['email']} now, with its chats.")
            former = None if former == first else former
    write(RECORD, admin["email"])
    if former not in (None, admin["email"]):
        report_former(former, same_password=can_sign_in(json.dumps({**admin, "email": former})))


def declared_admin() -> str | None:
    """The e-mail of the declared administrator; None if this machine has not recorded it."""
    return RECORD.read_text() if RECORD.exists() else None


def report_former(former: str, *, same_password: bool) -> None:
    """Reports what happens to the account of the former administrator."""
    password = "the same password as the new one" if same_password else "its former password"
    say(
        f"{former} was the administrator before. That account is still an administrator's, with its"
        f" chats and with {password}. If its owner must no longer sign in, see 'Another"
        " administrator' in docs/how-to/read-the-password.md."
    )


def can_sign_in(admin: str) -> bool:
    """Whether an active administrator has this password; a second factor does not matter."""
    return bool(json.loads(run_in_container("is_admin", admin)))


def drift_of_admin(admin: str) -> list[dict[str, str]]:
    """Whether the declared administrator can sign in with the declared password."""
    if can_sign_in(admin):
        return []
    what = "the declared administrator cannot sign in with the declared password"
    return [{"resource": "open-webui-admin", "what": what}]
