"""The administrator's account, which root can set when the declared password fails."""

from __future__ import annotations

import http.client
import json

from webui.client import WebuiSession, say
from webui.container import run_in_container
from webui.errors import RefusedError, WebuiError

REFUSED = (http.client.BAD_REQUEST, http.client.UNAUTHORIZED, http.client.FORBIDDEN)


def set_admin(webui: WebuiSession, admin: dict[str, str]) -> None:
    """Makes the declared administrator sign in with the declared password."""
    if signs_in(webui, admin["email"], admin["password"]):
        say("The declared administrator can sign in.")
        return
    say("The declared administrator cannot sign in; setting the account as root.")
    run_in_container("set_admin", json.dumps(admin))
    if not signs_in(webui, admin["email"], admin["password"]):
        raise WebuiError("the administrator's account is set, but still cannot sign in.")


def signs_in(webui: WebuiSession, email: str, password: str) -> bool:
    """Whether an administrator has this password; Open WebUI may then want a second factor."""
    credentials = {"email": email, "password": password}
    try:
        answer = webui.send("POST", "/api/v1/auths/signin", credentials)
    except RefusedError as refusal:
        if refusal.status in REFUSED:
            return False
        raise
    return bool(answer.get("role", "admin") == "admin")


def drift_of_admin(admin: str) -> list[dict[str, str]]:
    """Whether the declared administrator can sign in with the declared password."""
    if json.loads(run_in_container("is_admin", admin)):
        return []
    what = "the declared administrator cannot sign in with the declared password"
    return [{"resource": "open-webui-admin", "what": what}]
