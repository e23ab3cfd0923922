"""How a runner learns its own address; what is done with it is in tests/engine and tests/e2e."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tools import ssh_clients

Places = Callable[..., None]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """Says what the places answer that tell a machine its address."""
    servers = []

    def answer(*texts: str) -> None:
        for text in texts:

            class Handler(BaseHTTPRequestHandler):
                body = text.encode()

                def do_GET(self) -> None:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(self.body)

                def log_message(self, format: str, *args: object) -> None:
                    pass

            servers.append(HTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        urls = tuple(f"http://127.0.0.1:{server.server_port}" for server in servers)
        monkeypatch.setattr(ssh_clients, "WHO_AM_I", urls)

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_both_say_is_the_address(places: Places) -> None:
    places("20.1.2.3\n", "20.1.2.3")
    assert ssh_clients.own_address() == "20.1.2.3"


@pytest.mark.parametrize(
    "answers",
    [
        ("20.1.2.3", "20.1.2.4"),
        ("203.0.113.7", "203.0.113.7"),
        ("10.0.0.4", "10.0.0.4"),
        ("2001:db8::1", "2001:db8::1"),
        ("<html>", "<html>"),
        ("", ""),
    ],
)
def test_an_address_that_is_not_clear_opens_nothing(
    places: Places, answers: tuple[str, str]
) -> None:
    places(*answers)
    with pytest.raises(ssh_clients.ClientsError, match="is not clear"):
        ssh_clients.own_address()


def test_a_place_that_does_not_answer_is_named(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places("20.1.2.3")
    nobody = "http://127.0.0.1:1"
    monkeypatch.setattr(ssh_clients, "WHO_AM_I", (*ssh_clients.WHO_AM_I, nobody))
    with pytest.raises(ssh_clients.ClientsError, match=nobody):
        ssh_clients.own_address()
