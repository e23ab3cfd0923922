"""People whose page of the chat is open: each has a session and a WebSocket that stays."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.deployment import Deployment
from tests.e2e.hostile import SOCKET
from tests.e2e.wire import Server, WebSocket

# What a page requests when it opens, in addition to its files.
REQUESTS = (
    "/api/config",
    "/api/v1/auths/",
    "/api/models",
    "/api/v1/users/user/settings",
    "/api/v1/chats/?page=1",
)


@dataclass
class OpenPages:
    """The open pages; `lost` says which connections the server ended."""

    lost: list[str] = field(default_factory=list)


@contextmanager
def open_pages(azure: Deployment, tokens: Sequence[str]) -> Iterator[OpenPages]:
    """Open a page for each session, and keep the connections alive."""
    pages, ended = OpenPages(), threading.Event()
    sockets: list[WebSocket] = []
    server = Server(azure.address)
    try:
        for token in tokens:
            with azure.client(token) as client:
                for path in REQUESTS:
                    client.get(path).raise_for_status()
            sockets.append(_join(server, token))
        threads = [
            threading.Thread(target=_keep, args=[socket, number, pages, ended], daemon=True)
            for number, socket in enumerate(sockets)
        ]
        for thread in threads:
            thread.start()
        yield pages
    finally:
        ended.set()
        for socket in sockets:
            socket.close()


def _join(server: Server, token: str) -> WebSocket:
    """A connection to socket.io as this user. Raises AssertionError if it is refused."""
    socket = WebSocket(server, SOCKET, {"Origin": server.origin})
    if socket.status != 101:
        raise AssertionError(f"the WebSocket was refused with {socket.status}")
    socket.receive()
    socket.send(f"40{json.dumps({'token': token})}")
    socket.receive()
    socket.emit("user-join", {"auth": {"token": token}})
    return socket


def _keep(socket: WebSocket, number: int, pages: OpenPages, ended: threading.Event) -> None:
    """Answer the pings of socket.io until the pages are closed."""
    while not ended.is_set():
        try:
            text = socket.receive()
        except TimeoutError:  # nothing came for a while
            continue
        except OSError as error:
            text = None if ended.is_set() else repr(error)
        if ended.is_set():
            return
        if text == "2":
            socket.send("3")
        elif text is None or not text[:1].isdigit():
            pages.lost.append(f"person {number}: {text or 'the server ended the connection'}")
            return
