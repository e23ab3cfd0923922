"""What the table of hostile requests is made of: how a request is sent, and what may come back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from tests.e2e.wire import CLOSED, SILENT, Answer, Headers, Server, WebSocket, http1, http2

# In addition to statuses: the page of the chat, which every visitor gets.
PAGE = -3
ENDED = {400, CLOSED}
STRANGER = {401, 403}
UNKNOWN = {400, 404, 405, PAGE}
REFUSED = {400, 401, 403, 404, 405, 422}
__all__ = ["CLOSED", "ENDED", "PAGE", "REFUSED", "SILENT", "STRANGER", "UNKNOWN"]

# Another site that an attacker would lead users to.
ELSEWHERE = "elsewhere.invalid"


class Sent(Protocol):
    """What Open WebUI has sent since the test started."""

    def destinations(self) -> set[str]:
        """Where to, other than Ollama and the resolver: "address . port"."""


@dataclass
class Target:
    """The chat under attack. The owner of the data is its administrator."""

    server: Server
    client: Callable[[str], httpx.Client]  # of whose session; "" for none
    sessions: dict[str, str]  # of `owner`, `user` and `trusted`, who has every permission
    ids: dict[str, str]  # `{name}` in paths and bodies: whose and what
    marks: list[str]  # what only the owner may read
    certificate: bytes
    key: bytes  # which signs sessions
    sent: Sent
    loaded: Callable[[], str]  # the process with the model, and how it is loaded
    interfaces: Callable[[], list[tuple[str, str, list[str]]]]  # method, path and guards of each
    scratch: dict[str, Any] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """`text` with the ids of the owner's data in it."""
        own = {"host": self.server.address, "origin": self.server.origin}
        for name, value in {**own, **self.ids}.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def harmless(self, answer: Answer) -> None:
        """Check what no answer may have, whatever its status."""
        text = answer.body.decode("utf-8", "replace")
        for mark in self.marks:
            assert mark not in text, "the answer has what only the owner may read"
        leads_to = urlsplit(answer.headers.get("location", "")).hostname
        assert leads_to in (None, self.server.address), "the answer leads elsewhere"
        assert "x-injected" not in answer.headers, "the request wrote a field of the answer"
        assert "set-cookie" not in answer.headers, "a stranger gets a session"


Send = Callable[[Target], Answer]


@dataclass(frozen=True)
class Row:
    """One hostile request, and with which statuses it may be answered."""

    kind: str
    name: str
    send: Send
    allowed: set[int]

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def rows(kind: str, allowed: set[int], *table: tuple[Any, ...]) -> list[Row]:
    """The rows of one kind; `allowed` are the statuses of those that have none of their own."""
    return [Row(kind, row[0], row[1], row[2] if len(row) == 3 else allowed) for row in table]


def status_of(answer: Answer) -> int:
    """The status, or PAGE."""
    is_page = answer.status == 200 and b"<title>Open WebUI</title>" in answer.body
    return PAGE if is_page else answer.status


# How a request is sent. `as_user` is whose session it brings.


def raw(*lines: str, body: str = "", name: str | None = None, plain: bool = False) -> Send:
    """A request as bytes: its lines, each ended by CR LF, an empty line, and `body`."""
    text = "\r\n".join([*lines, "", ""]) + body
    return lambda target: http1(
        target.server, target.fill(text).encode("latin-1"), name=name, plain=plain
    )


def at(path: str, *fields: str, method: str = "GET", as_user: str = "user") -> Send:
    """A request whose path no client would send."""

    def send(target: Target) -> Answer:
        session = f"Authorization: Bearer {target.sessions[as_user]}"
        first = f"{method} {path} HTTP/1.1"
        return raw(first, "Host: {host}", session, *fields, "Connection: close")(target)

    return send


def over_http2(*fields: tuple[str, str], path: str = "/api/version", **how: Any) -> Send:
    """A request over HTTP/2: an ordinary one, in which `fields` replace some or come after."""

    def send(target: Target) -> Answer:
        usual = {
            ":method": "GET",
            ":scheme": "https",
            ":authority": target.server.address,
            ":path": path,
        }
        replaced = usual | {name: value for name, value in fields if name in usual}
        others: Headers = [(name, value) for name, value in fields if name not in usual]
        return http2(target.server, [*replaced.items(), *others], **how)

    return send


def exactly_over_http2(*fields: tuple[str, str], **how: Any) -> Send:
    """A request over HTTP/2 with these fields and no others."""
    return lambda target: http2(
        target.server, [(name, target.fill(value)) for name, value in fields], **how
    )


def api(
    method: str,
    path: str,
    body: Any = None,
    *,
    as_user: str = "",
    headers: dict[str, str] | None = None,
    **content: Any,
) -> Send:
    """A request of an ordinary client. `body` becomes JSON."""

    def send(target: Target) -> Answer:
        given = dict(content)
        if body is not None:
            given["content"] = target.fill(json.dumps(body))
        fields = {"Content-Type": "application/json"} if body is not None else {}
        answer = target.client(as_user).request(
            method, target.fill(path), headers=fields | (headers or {}), **given
        )
        return Answer(answer.status_code, answer.content, dict(answer.headers))

    return send


def with_token(forge: Callable[[Target], str], path: str = "/api/v1/chats/{chat}") -> Send:
    """The owner's chat, asked for with a forged session."""

    def send(target: Target) -> Answer:
        headers = {"Authorization": f"Bearer {forge(target)}"}
        return api("GET", path, headers=headers)(target)

    return send


def token(
    *,
    header: dict[str, Any] | None = None,
    key: Callable[[Target], bytes] | bytes = b"",
    signature: str | None = None,
    **claims: Any,
) -> Callable[[Target], str]:
    """How to forge a session of the owner: signed by HS256 with `key`, unless stated otherwise."""

    def forge(target: Target) -> str:
        payload = {**claims_of(target.sessions["owner"]), **claims}
        payload = {name: value for name, value in payload.items() if value is not None}
        fields = {"alg": "HS256", "typ": "JWT", **(header or {})}
        text = f"{encoded(json.dumps(fields).encode())}.{encoded(json.dumps(payload).encode())}"
        if signature is not None:
            return f"{text}.{signature}"
        known = key if isinstance(key, bytes) else key(target)
        digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(
            str(fields["alg"]), hashlib.sha256
        )
        return f"{text}.{encoded(hmac.new(known, text.encode(), digest).digest())}"

    return forge


def claims_of(session: str) -> dict[str, Any]:
    """What a session states."""
    payload = session.split(".")[1]
    claims: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def now() -> int:
    return int(time.time())


SOCKET = "/ws/socket.io/?EIO=4&transport=websocket"


def over_socket(
    *work: Callable[[WebSocket, Target], None],
    as_user: str | None = None,
    path: str = SOCKET,
    origin: str | None = None,
    **headers: str,
) -> Send:
    """Connect to socket.io, do `work`, and return all that comes until the server is done with it.

    The status is CLOSED if the server ended the connection, 200 if it goes on.
    """

    def send(target: Target) -> Answer:
        fields = {name.replace("_", "-"): target.fill(value) for name, value in headers.items()}
        fields |= {"Origin": target.fill(origin or "{origin}")}
        socket = WebSocket(target.server, path, fields)
        try:
            if socket.status != 101:
                return Answer(socket.status)
            return _talk(socket, target, work, as_user)
        finally:
            socket.close()

    return send


def _talk(
    socket: WebSocket,
    target: Target,
    work: Iterable[Callable[[WebSocket, Target], None]],
    as_user: str | None,
) -> Answer:
    received: list[str] = []
    try:
        socket.receive()  # how often the server will ask whether the client is there
        auth = {"token": target.sessions[as_user]} if as_user else {}
        socket.send(f"40{json.dumps(auth)}")
        socket.receive()  # the name of the session
        for step in work:
            step(socket, target)
        socket.emit("user-join", {"auth": auth}, acknowledge=99)
        while (text := socket.receive()) is not None:
            received.append(text)
            if text.startswith(("4399", "41")):
                break
        status = CLOSED if text is None or text.startswith("41") else 200
    except TimeoutError:
        status = SILENT
    except OSError:
        status = CLOSED
    events = [text for text in received if not text.startswith(("4399", "41", "2"))]
    return Answer(status, "\n".join(events).encode())


def emit(event: str, *data: Any) -> Callable[[WebSocket, Target], None]:
    """Send an event of socket.io."""
    return lambda socket, target: socket.emit(event, *json.loads(target.fill(json.dumps(data))))


def packet(payload: str | bytes, **how: Any) -> Callable[[WebSocket, Target], None]:
    """Send a frame; `how` as in wire.frame."""
    return lambda socket, target: socket.send(payload, **how)
