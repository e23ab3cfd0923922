"""Nginx with the machine's configuration, in front of a server that shows what reaches it."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from emulator.artifacts import chroot
from tests.unit.guest import nginx

BURST = 30
# Who is signed in, by the session they bring, as Open WebUI says it.
SESSIONS: dict[str, dict[str, Any]] = {
    "admin": {"role": "admin", "permissions": {}},
    "editor": {"role": "user", "permissions": {"chat": {"file_upload": True}}},
    "surfer": {"role": "user", "permissions": {"chat": {"file_upload": False, "web_upload": True}}},
    "sharer": {"role": "user", "permissions": {"access_grants": {"allow_users": True}}},
    "reader": {"role": "user", "permissions": {"chat": {"file_upload": False}}},
    "waiting": {"role": "pending", "permissions": {}},
}


@pytest.fixture(scope="session")
def root() -> Path:
    return chroot.nginx_tree()


@dataclass
class Site:
    plain: int
    secure: int
    upstream: ThreadingHTTPServer
    release: threading.Event
    reached: list[str]  # what was asked of Open WebUI: method and address

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[int, dict[str, str], str]:
        connection = self.connect()
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, text

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl._create_unverified_context()  # noqa: S323  a certificate made just now
        return http.client.HTTPSConnection("127.0.0.1", self.secure, context=context, timeout=30)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def site(root: Path, tmp_path: Path) -> Iterator[Site]:
    release = threading.Event()
    reached: list[str] = []

    class Upstream(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reached.append(f"{self.command} {self.path}")
            if self.path == "/api/v1/auths/":
                self.session()
                return
            if self.headers.get("Upgrade"):
                self.send_response(101)
                self.send_header("Upgrade", self.headers["Upgrade"])
                self.send_header("Connection", self.headers["Connection"])
                self.end_headers()
                self.wfile.write(b"echo:" + self.rfile.read(4))
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.path == "/stream":
                self.chunk(b"first")
                release.wait(30)
                self.chunk(b"second")
            else:
                seen = {name.lower(): value for name, value in self.headers.items()}
                self.chunk(json.dumps({**seen, "length": len(body)}).encode())
            self.chunk(b"")

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  names of http.server

        def session(self) -> None:
            user = SESSIONS.get((self.headers["Authorization"] or "").removeprefix("Bearer "))
            if user:
                user = {**user, "profile_image_url": f"data:image/png;base64,{'A' * 500_000}"}
            data = json.dumps(user or {"detail": "Not authenticated"}).encode()
            self.send_response(200 if user else 401)
            if "gzip" in self.headers.get("Accept-Encoding", ""):  # as Open WebUI does
                data = gzip.compress(data)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    upstream.daemon_threads = True
    thread = threading.Thread(target=upstream.serve_forever, args=(0.01,))
    thread.start()
    plain, secure = free_ports(2)
    nginx.configure(
        root, tmp_path, upstream=f"127.0.0.1:{upstream.server_port}", http=plain, https=secure
    )
    command = nginx.command(root, tmp_path)
    # Without "daemon off" the command returns when the ports are open; what it leaves running would
    # hold a pipe open for ever.
    with (tmp_path / "nginx.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    try:
        yield Site(plain, secure, upstream, release, reached)
    finally:
        release.set()
        subprocess.run([*command, "-s", "stop"], check=True, timeout=30)
        upstream.shutdown()
        thread.join()
        upstream.server_close()


def test_accepts_its_configuration(root: Path, tmp_path: Path) -> None:
    text = nginx.configure(root, tmp_path)
    tested = subprocess.run(
        [*nginx.command(root, tmp_path), "-t", "-q"], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stderr
    # With it, browsers would let no user past a self-signed certificate.
    assert "add_header Strict-Transport-Security" not in text
    assert "worker_connections 1024;" in text


def test_sends_plain_http_to_https(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.plain, timeout=30)
    connection.request("GET", "/c/1?x=y", headers={"Host": "elsewhere.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, "https://127.0.0.1/c/1?x=y")


def test_tells_open_webui_who_asks(site: Site) -> None:
    status, headers, text = site.ask("/", headers={"X-Forwarded-For": "203.0.113.9"})
    seen = json.loads(text)
    assert status == 200
    assert seen["x-forwarded-for"] == seen["x-real-ip"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["host"] == "127.0.0.1"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["server"] == "nginx"


def test_passes_each_word_on_when_it_comes(site: Site) -> None:
    connection = site.connect()
    connection.request("GET", "/stream")
    answer = connection.getresponse()
    assert answer.read(5) == b"first"  # the second is not written yet
    site.release.set()
    assert answer.read() == b"second"


def test_ends_no_connection_amid_a_page(site: Site) -> None:
    """By itself Nginx does after a thousand requests, and refuses those that are under way."""
    connection = site.connect()
    for _ in range(1100):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        assert answer.getheader("Connection") == "keep-alive"


def test_passes_websockets_on(site: Site) -> None:
    connection = site.connect()
    connection.connect()
    wire = connection.sock
    assert wire
    wire.sendall(
        b"GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nping"
    )
    received = b""
    while not received.endswith(b"echo:ping"):
        piece = wire.recv(1000)
        assert piece, received
        received += piece
    assert received.startswith(b"HTTP/1.1 101")


def test_lets_through_what_open_webui_may_refuse_itself(site: Site) -> None:
    sixty_mb = b"x" * 60_000_000  # more than Open WebUI's own limit
    status, _, text = site.ask(
        "/api/v1/files/", method="POST", body=sixty_mb, headers={"Authorization": "Bearer editor"}
    )
    assert (status, json.loads(text)["length"]) == (200, len(sixty_mb))


FILE, WEB, USERS = {"admin", "editor"}, {"admin", "surfer"}, {"admin", "sharer"}
EVERYBODY = set(SESSIONS)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/v1/files/", FILE),
        ("POST", "/api/v1/files", FILE),
        ("POST", "/api/v1/files/?process=false", FILE),
        ("POST", "/api/v1/files/17/data/content/update", FILE),
        ("PUT", "/api/v1/files/", FILE),
        ("POST", "/api/v1/retrieval/process/file", FILE),
        ("POST", "/api/v1/retrieval/process/files/batch", FILE),
        ("POST", "/api/v1/retrieval/process/text", FILE),
        ("POST", "/api/v1/retrieval/process/what-a-later-version-has", FILE),
        ("POST", "/api/v1/retrieval/process/url", WEB),
        ("POST", "/api/v1/retrieval/process/web", WEB),
        ("POST", "/api/v1/retrieval/process/web?process=false", WEB),
        ("POST", "/api/v1/retrieval/process/youtube", WEB),
        ("GET", "/api/v1/users/search", USERS),
        ("GET", "/api/v1/users/search?query=a&page=1", USERS),
        # Of these Open WebUI asks for the permission itself, or there is none.
        ("POST", "/api/v1/retrieval/process/web/search", EVERYBODY),
        ("GET", "/api/v1/files/", EVERYBODY),
        ("GET", "/api/v1/files/17/content", EVERYBODY),
        ("DELETE", "/api/v1/files/17", EVERYBODY),
        ("POST", "/api/v1/retrieval/query/collection", EVERYBODY),
        ("GET", "/api/v1/users/user/settings", EVERYBODY),
        ("POST", "/api/chat/completions", EVERYBODY),
    ],
)
def test_who_may_do_what_open_webui_does_not_ask_for(
    site: Site, method: str, path: str, allowed: set[str]
) -> None:
    passed = set()
    for name in SESSIONS:
        site.reached.clear()
        headers = {"Authorization": f"Bearer {name}", "Accept-Encoding": "gzip"}
        status, found, text = site.ask(path, method=method, body=b"{}", headers=headers)
        if f"{method} {path}" in site.reached:
            assert (status, json.loads(text)["length"]) == (200, 2)
            passed.add(name)
        else:
            assert (status, found["content-type"]) == (403, "application/json")
            assert re.fullmatch(
                r"This needs the permission (chat\.(file|web)_upload|access_grants\.allow_users), "
                r"which an administrator may grant\.",
                json.loads(text)["detail"],
            )
    assert passed == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/%66iles/",
        "/api/v1%2Ffiles/",
        "//api/v1/files/",
        "/api//v1/files/",
        "/api/v1/./files/",
        "/api/v1/auths/../files/",
        "/api/v1/files/%3F",
        "/api/v1/files/;x",
        "/API/v1/files/",
        "/api/v1/retrieval/process/%74ext",
        "/api/v1/retrieval/process/text/",
        "/api/v1/retrieval/process/web/search/../../text",
        "/api/v1/retrieval/process/url/",
        "/api/v1/users/%73earch",
        "/api/v1/users//search",
        "/permission",
        "/session",
    ],
)
def test_no_other_spelling_of_an_address_gets_past(site: Site, path: str) -> None:
    headers = {"Authorization": "Bearer reader"}
    for method in ("GET", "POST"):
        site.ask(path, method=method, body=b"{}", headers=headers)
    refused = re.compile(
        r"POST /api/v1/(files|retrieval/process/\w+)/?|GET /api/v1/users/search/?|.*/session"
    )
    assert [each for each in site.reached if refused.fullmatch(unquote(each))] == []


def test_nothing_is_uploaded_without_a_session(site: Site) -> None:
    for headers in ({}, {"Authorization": "Bearer unknown"}):
        site.reached.clear()
        status, _, text = site.ask("/api/v1/files/", method="POST", body=b"{}", headers=headers)
        assert (status, json.loads(text)) == (401, {"detail": "Not authenticated"})
        assert site.reached == ["GET /api/v1/auths/"]


def test_limits_sign_ins_of_one_address(site: Site) -> None:
    path = "/api/v1/auths/signin"
    statuses = [site.ask(path, method="POST", body=b"{}")[0] for _ in range(2 * BURST)]
    assert statuses[: BURST + 1] == [200] * (BURST + 1)
    assert 429 in statuses
    assert site.ask("/")[0] == 200


def test_says_that_the_chat_is_being_prepared_and_what_is_happening(
    site: Site, tmp_path: Path
) -> None:
    site.upstream.shutdown()
    site.upstream.server_close()
    for method, path in (
        ("GET", "/c/1"),
        ("POST", "/api/v1/files/"),
        ("POST", "/api/v1/chats/new"),
    ):
        status, headers, text = site.ask(path, method=method)
        assert (status, headers["content-type"]) == (503, "text/html")
        assert "The chat is being prepared" in text
        assert 'http-equiv="refresh"' in text
        assert "404" not in text  # nothing has a status yet

    (tmp_path / "status.txt").write_text("Open WebUI is being downloaded.\n")
    assert "Open WebUI is being downloaded." in site.ask("/")[2]


def test_the_status_is_on_that_page_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "status.txt").write_text("Open WebUI is starting.\n")
    assert "Open WebUI is starting." not in site.ask("/preparing-status.txt")[2]
