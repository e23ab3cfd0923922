"""Open WebUI's interface on this machine, used as its first admin.

Root alone reaches Open WebUI's port and has its key, so the session is made here, without a
password and without a sign-in. All commands of one `pulumi up` share it. It lies in a file that
only root reads, in memory, for ten minutes.
"""

from __future__ import annotations

import fcntl
import http.client
import itertools
import json
import mimetypes
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

CONTAINER = "open-webui"
PORT = 8080
RUN = Path("/run/ollamazure")
SESSION_FILE = RUN / "webui-session"
LOCK_FILE = RUN / "webui.lock"
SESSION_LASTS = 540  # seconds; Open WebUI takes it for 600
READY_WITHIN = 900  # seconds, in which its image may have to be downloaded
ANSWER_WITHIN = 600  # seconds; a long document is read and embedded before the answer
AGAIN_WITHIN = 240  # seconds; Open WebUI counts sign-ins over three minutes
AGAIN_PAUSE = 1
BUSY_PAUSE = 20

# Run by the container's Python, which has the library that Open WebUI signs with.
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


class UnreachableError(WebuiError):
    """No answer; `sent` says whether Open WebUI may have done what it was asked."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class OpenWebui:
    """Open WebUI's interface, at an address of mynet."""

    def __init__(self) -> None:
        self._latest = "nothing"
        self._address = ""
        self._renewed = False

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Says which answer has not the shape that it has in the pinned version."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError) as surprise:
            raise WebuiError(
                f"{self._latest} was answered in a way that is not known here ({surprise!r})."
                " Was Open WebUI's version changed? Set the former one."
            ) from surprise

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def get_or_none(self, path: str) -> Any:
        """None where there is nothing; Open WebUI's status for that differs by version."""
        try:
            return self.get(path)
        except RefusedError as refusal:
            if refusal.status in (http.client.UNAUTHORIZED, http.client.NOT_FOUND):
                return None
            raise

    def pages(self, path: str, field: str, **query: str) -> Iterator[Any]:
        """What Open WebUI lists under `field`, thirty at a time."""
        seen = 0
        for page in itertools.count(1):
            answer = self.get(f"{path}?{urlencode({**query, 'page': page})}")
            yield from answer[field]
            seen += len(answer[field])
            if not answer[field] or seen >= answer["total"]:
                return

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def upload(self, path: str, name: str, content: bytes, metadata: dict[str, str]) -> Any:
        """Sends a file as a browser does; Open WebUI reads it by the ending of its name."""
        end = uuid.uuid4().hex
        mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
        quoted = name.translate({ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"})
        part = f"--{end}\r\nContent-Disposition: form-data; name="
        head = f'{part}"metadata"\r\n\r\n{json.dumps(metadata)}\r\n'
        head += f'{part}"file"; filename="{quoted}"\r\nContent-Type: {mime}\r\n\r\n'
        body = head.encode() + content + f"\r\n--{end}--\r\n".encode()
        form = {"Content-Type": f"multipart/form-data; boundary={end}"}
        return self.call("POST", path, body, form)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        answer_within: float = ANSWER_WITHIN,
    ) -> Any:
        """The answer as the first admin.

        The session may have ended before its time, when that account's password was set. Open
        WebUI refuses some other things with the same status, so it is renewed once.
        """
        options: dict[str, Any] = {"headers": headers, "answer_within": answer_within}
        try:
            return self.send(method, path, body, token=session(), **options)
        except RefusedError as refusal:
            if refusal.status != http.client.UNAUTHORIZED or self._renewed:
                raise
        self._renewed = True
        SESSION_FILE.unlink(missing_ok=True)
        return self.send(method, path, body, token=session(), **options)

    def send(  # noqa: PLR0913  what a request consists of
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        patience: float = AGAIN_WITHIN,
        answer_within: float = ANSWER_WITHIN,
    ) -> Any:
        """The answer, repeated for `patience` seconds where that cannot do anything twice."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        begun = time.monotonic()
        while True:
            try:
                return self._request(method, path, content, sent, answer_within)
            except (RefusedError, UnreachableError) as problem:
                pause = pause_before_again(method, problem)
                waited = time.monotonic() - begun
                if pause is None:
                    raise
                if waited > patience:
                    raise WebuiError(f"after {waited:.0f} s still: {problem}") from problem
            time.sleep(pause)

    def _request(
        self, method: str, path: str, content: bytes | None, headers: Any, answer_within: float
    ) -> Any:
        self._address = self._address or address()
        connection = http.client.HTTPConnection(self._address, PORT, timeout=answer_within)
        sent = False
        try:
            connection.connect()
            sent = True
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self._address = ""  # a container started anew has another
            raise UnreachableError(f"{method} {path}: {error!r}", sent=sent) from error
        finally:
            connection.close()
        self._latest = f"{method} {path}"
        if answer.status >= http.client.BAD_REQUEST:
            raise RefusedError(answer.status, f"{self._latest}: {answer.status} {detail_of(text)}")
        return parsed(text)


def pause_before_again(method: str, problem: RefusedError | UnreachableError) -> float | None:
    """Seconds until the request can be repeated safely; None when it cannot."""
    if isinstance(problem, UnreachableError):
        return AGAIN_PAUSE if method == "GET" or not problem.sent else None
    if problem.status == http.client.TOO_MANY_REQUESTS:
        say(f"Open WebUI asks to wait ({problem}); again in {BUSY_PAUSE} s.")
        return BUSY_PAUSE
    if method == "GET" and problem.status in (
        http.client.BAD_GATEWAY,
        http.client.SERVICE_UNAVAILABLE,
        http.client.GATEWAY_TIMEOUT,
    ):
        return AGAIN_PAUSE
    return None


def ready(webui: OpenWebui) -> None:
    """Waits until it is ready: it may still be installed, or starting."""
    webui.send("GET", "/ready", patience=READY_WITHIN)


@contextmanager
def locked() -> Iterator[None]:
    """One command at a time changes anything."""
    RUN.mkdir(mode=0o755, exist_ok=True)
    with LOCK_FILE.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def session() -> str:
    """A session of the first admin, made when there is none that lasts."""
    try:
        if time.time() - SESSION_FILE.stat().st_mtime < SESSION_LASTS:
            return SESSION_FILE.read_text().strip()
    except FileNotFoundError:
        pass
    token = in_container(SESSION).strip()
    RUN.mkdir(mode=0o755, exist_ok=True)
    new = SESSION_FILE.with_name(f"{SESSION_FILE.name}.{uuid.uuid4()}")
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(token)
    new.replace(SESSION_FILE)
    return token


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
        raise UnreachableError(
            f"its container does not run; see `systemctl status {CONTAINER}`.", sent=False
        )
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


def detail_of(text: str) -> str:
    """Open WebUI's own message. One about a malformed request repeats it, secrets and all."""
    answer = parsed(text)
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    if isinstance(detail, list):
        detail = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in detail
        )
    return str(detail)[:300]


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
