#!/usr/bin/python3
"""Applies what the settings declare to the Open WebUI of this machine, through its own interface.

    webui.py DECLARED.json    with {"password": "…"} of the admin on standard input

What is declared wins at each run; what is not declared stays the admin's. Runs as root, which alone
reaches Open WebUI's port and may set the admin's password when the declared one does not sign in.
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
READY_WITHIN = 300  # seconds
# Open WebUI counts fifteen sign-ins of one address in three minutes, and then refuses all.
SIGN_IN_PAUSE = 20  # seconds
SIGN_IN_TRIES = 10
EVERYBODY_READS = {"principal_type": "user", "principal_id": "*", "permission": "read"}

# Run by the container's Python, where the password's hash function is. The account with the
# declared address becomes an admin; without one, the first account, which Open WebUI never lets go
# of, gets the address: it is the one that this program made.
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
        if row is None:
            sys.exit("There is no account yet.")
        database.execute("update user set name = ? where id = ?", [admin["name"], row[0]])
    for table in ("user", "auth"):
        database.execute(f"update {table} set email = ? where id = ?", [admin["email"], row[0]])
    database.execute("update user set role = 'admin' where id = ?", row)
    database.execute(
        "update auth set password = ?, active = 1, session_stamp = ? where id = ?",
        [hashed, str(uuid.uuid4()), row[0]],
    )
"""


class WebuiError(Exception):
    """What went wrong, in words for the operator."""


class RefusedError(WebuiError):
    """Open WebUI's answer to a request, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class OpenWebui:
    """Open WebUI's interface, at an address of mynet."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.token: str | None = None

    def get(self, path: str) -> Any:
        return self.call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
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
    if len(arguments) != 1:
        say(__doc__ or "")
        return 2
    declared = json.loads(Path(arguments[0]).read_text())
    password = json.load(sys.stdin)["password"]
    try:
        webui = OpenWebui(address())
        wait_until_ready(webui)
        sign_in(webui, declared["admin"], password)
        apply_config(webui, declared)
        for model in declared["models"]:
            show_to_everybody(webui, model)
    except WebuiError as problem:
        say(f"Open WebUI: {problem}")
        return 1
    say("Open WebUI has what the settings declare.")
    return 0


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


def wait_until_ready(webui: OpenWebui) -> None:
    begun = time.monotonic()
    while True:
        try:
            webui.get("/ready")
            return
        except WebuiError as problem:
            if time.monotonic() - begun > READY_WITHIN:
                raise WebuiError(f"not ready after {READY_WITHIN} s ({problem}).") from problem
            time.sleep(1)


def sign_in(webui: OpenWebui, admin: dict[str, str], password: str) -> None:
    """Sign in as the declared admin; when that is refused, make the account what is declared."""
    try:
        answer = ask_to_sign_in(webui, admin["email"], password)
    except RefusedError as refusal:
        if refusal.status not in (400, 401, 403):
            raise
        answer = {"role": None}
    if answer.get("role", "admin") != "admin":
        say("The declared admin does not sign in; setting the account as root.")
        set_admin(admin, password)
        answer = ask_to_sign_in(webui, admin["email"], password)
    if "token" not in answer:
        raise WebuiError("the admin's account asks for a second factor, which is not declared.")
    webui.token = answer["token"]


def ask_to_sign_in(webui: OpenWebui, email: str, password: str) -> dict[str, Any]:
    for attempt in range(1, SIGN_IN_TRIES + 1):
        try:
            answer: dict[str, Any] = webui.post(
                "/api/v1/auths/signin", {"email": email, "password": password}
            )
            return answer
        except RefusedError as refusal:
            if refusal.status != 429 or attempt == SIGN_IN_TRIES:
                raise
            say(f"Too many sign-ins for {email} in three minutes; waiting {SIGN_IN_PAUSE} s.")
            time.sleep(SIGN_IN_PAUSE)
    raise AssertionError("unreachable")


def set_admin(admin: dict[str, str], password: str) -> None:
    changed = subprocess.run(
        ["podman", "exec", "--interactive", CONTAINER, "python3", "-c", SET_ADMIN],
        input=json.dumps({**admin, "password": password}),
        capture_output=True,
        text=True,
        check=False,
    )
    if changed.returncode:
        reason = changed.stderr.strip().splitlines() or ["no reason given"]
        raise WebuiError(f"the admin's account cannot be set: {reason[-1]}")


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
        if refusal.status in (401, 404):
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
