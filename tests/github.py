"""A stand-in for the endpoint where GitHub gives tokens to a job; it refuses any other request."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

CLIENT = "00000000-0000-0000-0000-00000000c11e"
TENANT = "00000000-0000-0000-0000-000000007e4a"


class GitHub:
    """Gives a new token to each request that is right, and records it in `tokens`."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.answer: str | None = None
        """The body of every answer, instead of a token."""
        self.outage = 0
        """How many requests to refuse from now on."""
        self.on_token: Callable[[int], object] = lambda _number: None
        """Called with the number of tokens, before each answer with one."""
        self._request_token = secrets.token_hex(16)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def environment(self) -> dict[str, str]:
        """What GitHub and the workflow set for a job that may sign in to Azure."""
        address = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{address}/job/idtoken?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self._request_token,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_TENANT_ID": TENANT,
        }

    def __enter__(self) -> GitHub:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _respond(self, path: str, authorization: str | None) -> tuple[int, str]:
        url = urlsplit(path)
        wanted = {"api-version": ["2.0"], "audience": ["api://AzureADTokenExchange"]}
        if authorization != f"Bearer {self._request_token}":
            return 401, "{}"
        if url.path != "/job/idtoken" or parse_qs(url.query) != wanted:
            return 400, "{}"
        if self.outage:
            self.outage -= 1
            return 503, "{}"
        if self.answer is not None:
            return 200, self.answer
        self.tokens.append(f"token-{len(self.tokens)}.{secrets.token_hex(8)}.signature")
        self.on_token(len(self.tokens))
        return 200, json.dumps({"count": 1, "value": self.tokens[-1]})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        respond = self._respond

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = respond(self.path, self.headers["Authorization"])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
