"""A web server on the loopback address, in place of the internet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """Serves `files` (content by path), with ranges; records each request's path and Range.

    `cut` is a number of bytes after which the next answer breaks off. With `token`, files are
    served only to who got it from /token, as container registries do it.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    cut: int | None = None
    token: str = ""
    url: str = ""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.split("?", maxsplit=1)[0]
            wanted = self.headers.get("Range")
            server.requests.append((path, wanted))
            if server.token and path == "/token":
                self._send(200, b'{"token": "%s"}' % server.token.encode(), with_body)
            elif server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
                self._send(401, b"", with_body)
            elif path not in server.files:
                self._send(404, b"", with_body)
            else:
                content = server.files[path]
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
                if wanted and start >= len(content):
                    self._send(416, b"", with_body)
                else:
                    self._send(206 if wanted else 200, content[start:], with_body)

        def _send(self, status: int, content: bytes, with_body: bool) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", f'Bearer realm="{server.url}/token",scope="x"')
            self.send_header("Content-Type", server.types.get(self.path, "application/json"))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                cut, server.cut = server.cut, None
                self.wfile.write(content[:cut])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_port}"
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            listener.shutdown()
