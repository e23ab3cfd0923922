"""Open WebUI's interface on this machine, used as its first administrator.

Only root reaches Open WebUI's port and has its key, so this module creates the session itself,
without a password and without a sign-in. All commands of one `pulumi up` share the session. It is
in a file in memory that only root reads, for ten minutes.
"""

from __future__ import annotations

import fcntl
import http.client
import itertools
import json
import mimetypes
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from webui.container import container_address, run_in_container
from webui.errors import NoAnswerError, RefusedError, WebuiError

PORT = 8080
RUN = Path("/run/ollamazure")
SESSION_FILE = RUN / "webui-session"
LOCK_FILE = RUN / "webui.lock"
SESSION_LASTS = 540  # seconds; Open WebUI accepts it for 600
READY_WITHIN = 900  # seconds, in which its image may have to be downloaded
ANSWER_WITHIN = 600  # seconds; a long document is read and embedded before the answer
AGAIN_WITHIN = 240  # seconds; Open WebUI counts sign-ins over three minutes
AGAIN_PAUSE = 1
BUSY_PAUSE = 20


class WebuiSession:
    """Requests to Open WebUI as its first administrator."""

    def __init__(self) -> None:
        self._latest = "nothing"
        self._address = ""
        self._renewed = False

    @contextmanager
    def unexpected_shape_as_error(self) -> Iterator[None]:
        """Turns an answer with another shape than in the pinned version into a WebuiError."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError) as surprise:
            raise WebuiError(
                f"the answer to {self._latest} has an unexpected shape ({surprise!r})."
                " If Open WebUI's version was changed, set the previous one."
            ) from surprise

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def get_or_none(self, path: str) -> Any:
        """The answer, or None if nothing exists there; Open WebUI's status for that varies."""
        try:
            return self.get(path)
        except RefusedError as refusal:
            if refusal.status in (http.client.UNAUTHORIZED, http.client.NOT_FOUND):
                return None
            raise

    def pages(self, path: str, field: str, **query: str) -> Iterator[Any]:
        """All items that Open WebUI lists under `field`, in pages of thirty."""
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
        """Uploads a file as a browser does; Open WebUI reads it by its name's extension."""
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
        """The answer to a request of the first administrator.

        The session ends early if that account's password was set. Open WebUI has the same status
        for other refusals, so the session is renewed only once.
        """
        options: dict[str, Any] = {"headers": headers, "answer_within": answer_within}
        try:
            return self.send(method, path, body, token=session_token(), **options)
        except RefusedError as refusal:
            if refusal.status != http.client.UNAUTHORIZED or self._renewed:
                raise
        self.forget_session()
        self._renewed = True
        return self.send(method, path, body, token=session_token(), **options)

    def forget_session(self) -> None:
        """Lets the next request have a session of its own: all those before have ended."""
        SESSION_FILE.unlink(missing_ok=True)
        self._renewed = False

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
        """The answer; requests that are safe to repeat are repeated for `patience` seconds."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        begun = time.monotonic()
        while True:
            try:
                return self._request(method, path, content, sent, answer_within)
            except (RefusedError, NoAnswerError) as problem:
                pause = pause_before_again(method, problem)
                waited = time.monotonic() - begun
                if pause is None:
                    raise
                if waited > patience:
                    raise WebuiError(f"{problem} (still, after {waited:.0f} s)") from problem
            time.sleep(pause)

    def _request(
        self, method: str, path: str, content: bytes | None, headers: Any, answer_within: float
    ) -> Any:
        self._address = self._address or container_address()
        connection = http.client.HTTPConnection(self._address, PORT, timeout=answer_within)
        sent = False
        try:
            connection.connect()
            sent = True
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self._address = ""  # a container that was restarted has another
            raise NoAnswerError(f"{method} {path}: {error!r}", sent=sent) from error
        finally:
            connection.close()
        self._latest = f"{method} {path}"
        if answer.status >= http.client.BAD_REQUEST:
            raise RefusedError(answer.status, f"{self._latest}: {answer.status} {detail_of(text)}")
        return parse(text)


def pause_before_again(method: str, problem: RefusedError | NoAnswerError) -> float | None:
    """Seconds until the request can be repeated safely; None if it cannot."""
    if isinstance(problem, NoAnswerError):
        return AGAIN_PAUSE if method == "GET" or not problem.sent else None
    if problem.status == http.client.TOO_MANY_REQUESTS:
        say(f"Open WebUI is busy ({problem}); trying again in {BUSY_PAUSE} s.")
        return BUSY_PAUSE
    if method == "GET" and problem.status in (
        http.client.BAD_GATEWAY,
        http.client.SERVICE_UNAVAILABLE,
        http.client.GATEWAY_TIMEOUT,
    ):
        return AGAIN_PAUSE
    return None


def wait_until_ready(webui: WebuiSession) -> None:
    """Waits until Open WebUI is ready: it may still be downloading or starting."""
    webui.send("GET", "/ready", patience=READY_WITHIN)


@contextmanager
def lock() -> Iterator[None]:
    """Lets one command at a time change anything."""
    RUN.mkdir(mode=0o755, exist_ok=True)
    with LOCK_FILE.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def session_token() -> str:
    """The token of a session of the first administrator; a new one if the last one has expired."""
    try:
        if time.time() - SESSION_FILE.stat().st_mtime < SESSION_LASTS:
            return SESSION_FILE.read_text().strip()
    except FileNotFoundError:
        pass
    token = new_session()
    RUN.mkdir(mode=0o755, exist_ok=True)
    new = SESSION_FILE.with_name(f"{SESSION_FILE.name}.{uuid.uuid4()}")
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(token)
    new.replace(SESSION_FILE)
    return token


def new_session() -> str:
    """The token of a new session of the first administrator. It must not be printed."""
    return run_in_container("session").strip()


def detail_of(text: str) -> str:
    """Open WebUI's message.

    About a malformed request it repeats the values, secrets included: then only the names of the
    fields and the problems are used.
    """
    answer = parse(text)
    detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
    if isinstance(detail, list):
        detail = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in detail
        )
    return str(detail)[:300]


def parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
