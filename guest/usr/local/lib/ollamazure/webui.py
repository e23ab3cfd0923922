#!/usr/bin/python3
"""Tells the Open WebUI of this machine what the settings declare, through its own interface.

    webui.py admin                  {"email": …, "name": …, "password": …} on standard input
    webui.py apply DECLARED.json    the configuration
    webui.py show MODEL             to every user

What is declared wins at each run; what is not declared stays the admin's. Runs as root, which alone
reaches Open WebUI's port, has its key, and sets the admin's password when the declared one does not
sign in.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

CONTAINER = "open-webui"
# Says that the settings for a new instance were applied; on the data disk, as what they set.
BEGUN = Path("/srv/data/open-webui/begun")
READY_WITHIN = 900  # seconds, in which its image may have to be downloaded
REFUSED = (http.client.BAD_REQUEST, http.client.UNAUTHORIZED, http.client.FORBIDDEN)
SIGN_IN_PAUSE = 20  # seconds
SIGN_IN_TRIES = 10
EVERYBODY_READS = {"principal_type": "user", "principal_id": "*", "permission": "read"}

# Both run by the container's Python, which has the libraries that Open WebUI hashes and signs with.
#
# The account with the declared address becomes an admin; without one, the first account, which Open
# WebUI never lets go of, gets the address: it is the one that this program made.
SET_ADMIN = """
import json, sqlite3, sys, uuid
import bcrypt
admin = json.load(sys.stdin)
hashed = bcrypt.hashpw(admin["password"].encode(), bcrypt.gensalt()).decode()
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
with database:
    row = database.execute("select id from user where email = ?", [admin["email"]]).fetchone()
    if row is None:
        row = database.execute(
            "select id from user order by created_at, role != 'admin', id limit 1"
        ).fetchone()
        database.execute("update user set name = ? where id = ?", [admin["name"], row[0]])
    for table in ("user", "auth"):
        database.execute(f"update {table} set email = ? where id = ?", [admin["email"], row[0]])
    database.execute("update user set role = 'admin' where id = ?", row)
    database.execute(
        "update auth set password = ?, active = 1, session_stamp = ? where id = ?",
        [hashed, str(uuid.uuid4()), row[0]],
    )
"""
# A session of the first admin for ten minutes. It needs no password and counts as no sign-in, of
# which Open WebUI takes fifteen in three minutes.
SESSION = """
import os, sqlite3, time, uuid
import jwt
database = sqlite3.connect("/app/backend/data/webui.db", timeout=30)
user, stamp = database.execute(
    "select user.id, auth.session_stamp from user join auth on auth.id = user.id"
    " where user.role = 'admin' order by user.created_at, user.id limit 1"
).fetchone()
now = int(time.time())
claims = {
    "id": user, "session_stamp": stamp, "typ": "session", "auth_method": "password",
    "auth_time": now, "mfa_verified": True, "jti": str(uuid.uuid4()), "iat": now, "exp": now + 600,
}
print(jwt.encode(claims, os.environ["WEBUI_SECRET_KEY"], algorithm="HS256"))
"""


class WebuiError(Exception):
    """What went wrong, in words for the operator."""


class RefusedError(WebuiError):
    """Open WebUI's answer to a request, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class OpenWebui:
    """Open WebUI's interface, at an address of mynet, used as an admin."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.token: str | None = None

    def get(self, path: str) -> Any:
        return self.call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """The answer as the first admin."""
        if self.token is None:
            self.token = in_container(SESSION).strip()
        try:
            return self.send(method, path, body, self.token)
        except RefusedError as refusal:
            if refusal.status != http.client.UNAUTHORIZED:
                raise
        # The admin's account may have been set in between, which ends its sessions.
        self.token = in_container(SESSION).strip()
        return self.send(method, path, body, self.token)

    def send(
        self, method: str, path: str, body: dict[str, Any] | None, token: str | None = None
    ) -> Any:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(self.address, 8080, timeout=120)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise WebuiError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise RefusedError(answer.status, f"{method} {path}: {answer.status} {detail_of(text)}")
        return parsed(text)


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["admin"]:
                set_admin(ready(), json.load(sys.stdin))
            case ["apply", path]:
                apply_config(ready(), json.loads(Path(path).read_text()))
            case ["show", model]:
                show_to_everybody(ready(), model)
            case _:
                say(__doc__ or "")
                return 2
    except WebuiError as problem:
        say(f"Open WebUI: {problem}")
        return 1
    return 0


def set_admin(webui: OpenWebui, admin: dict[str, str]) -> None:
    """The declared admin signs in with the declared password, whoever had which before."""
    if signs_in(webui, admin["email"], admin["password"]):
        say("The declared admin signs in.")
        return
    say("The declared admin does not sign in; setting the account as root.")
    in_container(SET_ADMIN, json.dumps(admin))
    if not signs_in(webui, admin["email"], admin["password"]):
        raise WebuiError("the admin's account is set, and still does not sign in.")


def ready() -> OpenWebui:
    """Open WebUI when it is ready: it may still be installed, or starting."""
    begun = time.monotonic()
    while True:
        try:
            webui = OpenWebui(address())
            webui.send("GET", "/ready", None)
            return webui
        except WebuiError as problem:
            if time.monotonic() - begun > READY_WITHIN:
                raise WebuiError(f"not ready after {READY_WITHIN} s: {problem}") from problem
            time.sleep(1)


def address() -> str:
    """IPv4 address of the container; root of this machine reaches it, nobody outside does."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    found = subprocess.run(
        ["podman", "inspect", "--format", template, CONTAINER],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode or not found.stdout.strip():
        raise WebuiError(f"its container does not run; see `systemctl status {CONTAINER}`.")
    return found.stdout.strip()


def in_container(program: str, text: str = "") -> str:
    """What a Python program prints in the container, with `text` on its standard input."""
    done = subprocess.run(
        ["podman", "exec", "--interactive", CONTAINER, "python3", "-c", program],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise WebuiError(f"its database or key cannot be used: {reason[-1]}")
    return done.stdout


def signs_in(webui: OpenWebui, email: str, password: str) -> bool:
    """Whether it is the password of an admin; a second factor may be asked for after it."""
    credentials = {"email": email, "password": password}
    for _ in range(SIGN_IN_TRIES):
        try:
            answer = webui.send("POST", "/api/v1/auths/signin", credentials)
            return bool(answer.get("role", "admin") == "admin")
        except RefusedError as refusal:
            if refusal.status in REFUSED:
                return False
            if refusal.status != http.client.TOO_MANY_REQUESTS:
                raise
        say(f"Too many sign-ins for {email} in three minutes; waiting {SIGN_IN_PAUSE} s.")
        time.sleep(SIGN_IN_PAUSE)
    raise WebuiError(f"too many sign-ins for {email}: somebody else tries, too.")


def apply_config(webui: OpenWebui, declared: dict[str, Any]) -> None:
    wanted = dict(declared["config"])
    if not BEGUN.exists():
        wanted = {**declared["begin_with"], **wanted}
    present = webui.get("/api/v1/configs/export")
    changes = changed_keys(present, wanted)
    if changes:
        webui.post("/api/v1/configs/import", {"config": changes})
        say(f"Set: {', '.join(sorted(changes))}.")
    BEGUN.parent.mkdir(mode=0o700, exist_ok=True)
    BEGUN.touch()
    say("Open WebUI has what the settings declare.")


def changed_keys(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted keys that are not so yet; of a mapping, what is not named stays as it is."""
    merged = {key: merge(present.get(key), value) for key, value in wanted.items()}
    return {key: value for key, value in merged.items() if present.get(key) != value}


def merge(present: Any, wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        return wanted
    base = present if isinstance(present, dict) else {}
    return {**base, **{key: merge(base.get(key), value) for key, value in wanted.items()}}


def show_to_everybody(webui: OpenWebui, model: str) -> None:
    """A model without a grant is for admins only, which users report as "no models"."""
    grants = grants_of(webui, model)
    if any(is_same_grant(grant, EVERYBODY_READS) for grant in grants):
        return
    webui.post(
        "/api/v1/models/model/access/update",
        {"id": model, "name": model, "access_grants": [*grants, EVERYBODY_READS]},
    )
    say(f"{model} is there for every user.")


def grants_of(webui: OpenWebui, model: str) -> list[dict[str, Any]]:
    try:
        known = webui.get(f"/api/v1/models/model?{urllib.parse.urlencode({'id': model})}")
    except RefusedError as refusal:
        # A model of Ollama that nobody has touched has no record; its status differs by version.
        if refusal.status in (http.client.UNAUTHORIZED, http.client.NOT_FOUND):
            return []
        raise
    return list((known or {}).get("access_grants") or [])


def is_same_grant(grant: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(grant.get(key) == value for key, value in other.items())


def detail_of(text: str) -> str:
    answer = parsed(text)
    return str(answer.get("detail", answer) if isinstance(answer, dict) else answer)[:300]


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
