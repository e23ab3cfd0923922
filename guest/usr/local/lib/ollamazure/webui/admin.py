"""The administrator's account, which root can set when the declared password fails."""

from __future__ import annotations

import json

from webui.client import say
from webui.container import run_in_container
from webui.errors import WebuiError


def set_admin(admin: dict[str, str]) -> None:
    """Makes the declared administrator able to sign in with the declared password.

    It asks the database rather than signing in: Open WebUI limits sign-ins by e-mail address, so
    anyone who knows the administrator's could make this wait.
    """
    credentials = json.dumps(admin)
    if can_sign_in(credentials):
        say("The declared administrator can sign in.")
        return
    say("The declared administrator cannot sign in; setting the account as root.")
    run_in_container("set_admin", credentials)
    if not can_sign_in(credentials):
        raise WebuiError("the administrator's account is set, but still cannot sign in.")


def can_sign_in(admin: str) -> bool:
    """Whether an active administrator has this password; a second factor does not matter."""
    return bool(json.loads(run_in_container("is_admin", admin)))


def drift_of_admin(admin: str) -> list[dict[str, str]]:
    """Whether the declared administrator can sign in with the declared password."""
    if can_sign_in(admin):
        return []
    what = "the declared administrator cannot sign in with the declared password"
    return [{"resource": "open-webui-admin", "what": what}]
