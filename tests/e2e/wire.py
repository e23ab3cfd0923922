"""Clients that send what no library would: requests as bytes, frames of HTTP/2 and of WebSocket."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamReset
from h2.exceptions import ProtocolError

# What stands for the status if there is no answer: the connection, or the stream, was ended; or it
# is open, and nothing came within PATIENCE seconds.
CLOSED, SILENT = -1, -2
PATIENCE = 20.0


@dataclass(frozen=True)
class Answer:
    """What a request, or a connection, was answered."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """Where the chat is."""

    address: str
    https: int = 443
    http: int = 80

    @property
    def origin(self) -> str:
        """What a browser calls the chat."""
        return f"https://{self.address}" + (f":{self.https}" if self.https != 443 else "")

    def connect(
        self,
        *,
        name: str | None = None,
        protocol: str = "http/1.1",
        plain: bool = False,
        source: str = "127.0.0.1",
    ) -> socket.socket:
        """A connection, by TLS unless `plain`; `name` is the one that TLS asks for."""
        port = self.http if plain else self.https
        raw = socket.create_connection((self.address, port), PATIENCE, (source, 0))
        if plain:
            return raw
        context = ssl._create_unverified_context()  # noqa: S323  as an attacker does
        context.set_alpn_protocols([protocol])
        return context.wrap_socket(raw, server_hostname=name)

    def connect_without_tls(self) -> socket.socket:
        """A connection to the port of HTTPS that does not speak TLS."""
        return socket.create_connection((self.address, self.https), timeout=PATIENCE)


def http1(server: Server, sent: bytes, **how: Any) -> Answer:
    """Send bytes and return the first answer. Its body ends with all that came after it.

    `how` is what Server.connect takes.
    """
    with server.connect(**how) as wire:
        received, ended = _exchange(wire, sent)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1."):
        return Answer(CLOSED if ended else SILENT, received)
    pairs = (line.partition(":") for line in lines[1:])
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(int(lines[0].split()[1]), body, headers)


def _exchange(wire: socket.socket, sent: bytes) -> tuple[bytes, bool]:
    """What came back, and whether the server ended the connection."""
    received = b""
    try:
        wire.sendall(sent)
        while piece := wire.recv(1 << 16):
            received += piece
    except TimeoutError:
        return received, False
    except OSError:  # it was ended while we sent
        pass
    return received, True


Headers = list[tuple[str, str]]


def http2(
    server: Server,
    headers: Iterable[tuple[str, str]],
    *,
    body: bytes | None = None,
    before: Callable[[H2Connection], None] = lambda connection: None,
    raw: bytes = b"",
) -> Answer:
    """Send one request, as it is written; return its answer.

    `before` does something on the connection first; `raw` are frames that follow the request.
    """
    connection = H2Connection(
        H2Configuration(
            header_encoding="latin-1",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
    )
    connection.initiate_connection()
    with server.connect(protocol="h2") as wire:
        before(connection)
        stream = connection.get_next_available_stream_id()
        connection.send_headers(stream, list(headers), end_stream=body is None)
        if body is not None:
            connection.send_data(stream, body, end_stream=True)
        return _answer(wire, connection, stream, raw)


def _answer(wire: socket.socket, connection: H2Connection, stream: int, raw: bytes) -> Answer:
    status, headers, body = CLOSED, dict[str, str](), b""
    try:
        wire.sendall(connection.data_to_send() + raw)
        while piece := wire.recv(1 << 16):
            for event in connection.receive_data(piece):
                if isinstance(event, ConnectionTerminated):
                    return Answer(status, body, headers)
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, ResponseReceived):
                    headers = {str(name): str(value) for name, value in event.headers}
                    status = int(headers.pop(":status"))
                elif isinstance(event, DataReceived):
                    body += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, stream)
                if isinstance(event, StreamReset) or getattr(event, "stream_ended", None):
                    return Answer(status, body, headers)
            wire.sendall(connection.data_to_send())
    except TimeoutError:
        return Answer(SILENT, body, headers)
    except (OSError, ProtocolError):
        pass
    return Answer(status, body, headers)


def frame2(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class WebSocket:
    """A connection to socket.io; `status` is the answer to the request that asked for it."""

    def __init__(self, server: Server, path: str, headers: dict[str, str]) -> None:
        self.wire = server.connect()
        fields = {
            "Host": server.address,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            **headers,
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.wire.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self._received = b""
        head = self._until(b"\r\n\r\n")
        self.status = int(head.split()[1]) if head else CLOSED

    def send(self, payload: str | bytes, *, opcode: int = 1, **how: Any) -> None:
        """Send one frame; see `frame`."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.wire.sendall(frame(data, opcode=opcode, **how))

    def emit(self, event: str, *data: Any, acknowledge: int | str = "") -> None:
        """Send an event of socket.io."""
        self.send(f"42{acknowledge}{json.dumps([event, *data])}")

    def receive(self) -> str | None:
        """The next text; None if the connection was ended. Pings of the protocol are answered.

        Raises:
            TimeoutError: nothing came within PATIENCE seconds.
        """
        while head := self._exactly(2):
            opcode, length = head[0] & 15, head[1] & 127
            if length > 125:
                length = int.from_bytes(self._exactly(2 if length == 126 else 8), "big")
            payload = self._exactly(length)
            if opcode == 8:
                return None
            if opcode == 9:
                self.send(payload, opcode=10)
            if opcode == 1:
                return payload.decode()
        return None

    def close(self) -> None:
        self.wire.close()

    def _exactly(self, count: int) -> bytes:
        """That many bytes; none if the connection was ended."""
        while len(self._received) < count:
            if not self._more():
                return b""
        found, self._received = self._received[:count], self._received[count:]
        return found

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            if not self._more():
                return b""
        found, _, self._received = self._received.partition(end)
        return found

    def _more(self) -> bool:
        try:
            piece = self.wire.recv(1 << 16)
        except TimeoutError:
            raise
        except OSError:
            return False
        self._received += piece
        return bool(piece)


def frame(
    payload: bytes,
    *,
    opcode: int = 1,
    final: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """A frame of WebSocket; `length` is what it claims to be long."""
    claimed = len(payload) if length is None else length
    first = bytes([final << 7 | reserved << 4 | opcode])
    mark = masked << 7
    if claimed < 126:
        size = bytes([mark | claimed])
    elif claimed < 1 << 16:
        size = bytes([mark | 126]) + struct.pack(">H", claimed)
    else:
        size = bytes([mark | 127]) + struct.pack(">Q", claimed)
    if not masked:
        return first + size + payload
    key = os.urandom(4)
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    hidden = int.from_bytes(payload) ^ int.from_bytes(pad)
    return first + size + key + hidden.to_bytes(len(payload))
