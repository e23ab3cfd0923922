"""Nginx with the machine's configuration, in front of a server that shows what reaches it."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from components.remote_command import GUEST
from emulator.artifacts import chroot
from ollamazure import catalog
from tests.tiers import first_of
from tests.unit.guest import nginx

# Nginx's limit of sign-ins by one address, and of wrong passwords by addresses that have not signed
# in to the account, and by one that has (sign_in.js).
BURST, STRANGERS, KNOWN = 120, 5, 20
SIGN_IN = "/api/v1/auths/signin"
TOOLS = GUEST / "usr/local/lib/ollamazure"
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
    folder: Path
    plain: int
    secure: int
    ollama: int
    upstream: ThreadingHTTPServer
    release: threading.Event
    reached: list[str]  # what was asked of Open WebUI: method and address
    files: dict[str, str]  # of its page: content by address

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        source: str = "127.0.0.1",
    ) -> tuple[int, dict[str, str], str]:
        connection = self.connect(source)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, text

    def ask_ollama(
        self, request: str, body: bytes | None = None, *, source: str = "127.0.0.11"
    ) -> tuple[int, dict[str, str], bytes]:
        """As Open WebUI, for whose address this source stands. A request: method and address."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ollama, timeout=30, source_address=(source, 0)
        )
        method, path = request.split(" ")
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, text

    def connect(self, source: str = "127.0.0.1") -> http.client.HTTPSConnection:
        context = ssl._create_unverified_context()  # noqa: S323  a certificate made just now
        return http.client.HTTPSConnection(
            "127.0.0.1", self.secure, context=context, timeout=30, source_address=(source, 0)
        )

    def open(
        self, *, tls: bool = True, handshake: bool = True, http2: bool = False, port: int = 0
    ) -> socket.socket:
        """A connection for what no library sends."""
        default = self.secure if tls or not handshake else self.plain
        wire = socket.create_connection(("127.0.0.1", port or default), timeout=30)
        if not (tls and handshake):
            return wire
        context = ssl._create_unverified_context()  # noqa: S323  a certificate made just now
        context.set_alpn_protocols(["h2"] if http2 else ["http/1.1"])
        return context.wrap_socket(wire)

    def sign_in(self, email: str, password: str, source: str = "127.0.0.1") -> int:
        """The status. The right password is "right"."""
        body = json.dumps({"email": email, "password": password}).encode()
        return self.ask(SIGN_IN, method="POST", body=body, source=source)[0]

    def stop_open_webui(self) -> None:
        self.upstream.shutdown()
        self.upstream.server_close()


def answer_to(wire: socket.socket, request: bytes) -> bytes:
    """Everything that Nginx sends until it ends the connection."""
    wire.sendall(request)
    received = b""
    # Nginx resets a connection that it closes before it has read everything.
    with suppress(ConnectionResetError):
        while piece := wire.recv(65536):
            received += piece
    wire.close()
    return received


def until(wire: socket.socket, awaited: bytes) -> bytes:
    wire.settimeout(30)
    received = b""
    while awaited not in received:
        piece = wire.recv(65536)
        assert piece, received
        received += piece
    return received


def http2_frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def http2_start(flags: int, headers: bytes = b"\x82\x87\x84", settings: bytes = b"") -> bytes:
    """A connection with one request, GET / by HTTPS; flag 4 ends its headers, 1 ends it."""
    settings = http2_frame(4, 0, settings, stream=0)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + http2_frame(1, flags, headers)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def site(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Site]:
    """The site; `indirect` parameters are values of nginx.conf that differ from those of a stack
    without settings."""
    with served(root, tmp_path, **getattr(request, "param", {})) as site:
        yield site


@pytest.fixture(scope="module")
def shared_site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site for tests that neither stop anything nor depend on earlier requests."""
    with served(root, tmp_path_factory.mktemp("site")) as site:
        yield site


@contextmanager
def served(root: Path, folder: Path, **values: Any) -> Iterator[Site]:
    """Nginx in front of a stand-in for Open WebUI; `values` are values of nginx.conf."""
    release = threading.Event()
    reached: list[str] = []
    files: dict[str, str] = {}

    class Upstream(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reached.append(f"{self.command} {self.path}")
            if self.path == "/api/v1/auths/":
                self.session()
                return
            if self.path in (SIGN_IN, "/api/v1/auths/ldap"):
                self.sign_in(body)
                return
            if self.path.startswith(("/_app/", "/assets/", "/static/")):
                self.file()
                return
            if self.path.startswith("/fails"):
                self.close_connection = True
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
            if self.path.startswith("/oauth/"):
                self.send_header("Set-Cookie", "session=s; Path=/; SameSite=lax; Secure")
                self.send_header("Set-Cookie", "token=t; Path=/")
                self.send_header("Set-Cookie", f"large={'x' * 30_000}")
            self.end_headers()
            if self.path == "/stream" or body == b"stream":
                self.chunk(b"first")
                release.wait(30)
                self.chunk(b"second")
            elif (
                self.path == "/large"
            ):  # more than the kernel keeps for a client that does not read
                try:
                    self.chunk(b"x" * 30_000_000)
                except OSError:
                    reached.append("no one reads /large")
                    return
            else:
                seen = {name.lower(): value for name, value in self.headers.items()}
                self.chunk(json.dumps({**seen, "length": len(body)}).encode())
            self.chunk(b"")

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  names of http.server

        def sign_in(self, body: bytes) -> None:
            password = json.loads(body)["password"]
            if password == "slow":
                release.wait(30)
            right = password == "right"
            data = json.dumps({"token": "t"} if right else {"detail": "Wrong."}).encode()
            self.send_response(200 if right else 400)
            if right:
                self.send_header("Set-Cookie", "token=t; HttpOnly; Path=/; SameSite=lax")
                self.send_header("Set-Cookie", "second=s; Path=/; SameSite=lax")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def file(self) -> None:
            """As Open WebUI: compressed at each request, and its page instead of a missing file."""
            content = files.get(self.path.partition("?")[0])
            found = content is not None
            etag = f'"{content}"'
            unchanged = found and self.headers["If-None-Match"] == etag
            missing = 404 if self.path.endswith(".js") else 200
            accepted = self.headers.get("Accept-Encoding", "")
            encoding = next((each for each in ("br", "gzip") if each in accepted), "identity")
            shown = " ".join([str(content), encoding, *sorted(self.headers)])
            data = b"" if unchanged else shown.encode()
            self.send_response(304 if unchanged else 200 if found else missing)
            self.send_header("Vary", "Accept-Encoding, Origin")
            if found:
                self.send_header("ETag", etag)
                self.send_header("Content-Type", "text/javascript; charset=utf-8")
                self.send_header("Content-Encoding", encoding)
            else:
                self.send_header("Content-Type", "text/html; charset=utf-8")
            if not found and self.path.startswith("/static/"):
                self.send_header("Cache-Control", "max-age=5")
            if unchanged:
                reached.append("unchanged")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def session(self) -> None:
            if self.headers["Authorization"] == "Bearer fails":
                self.close_connection = True
                return
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
    plain, secure, ollama = free_ports(3)
    nginx.configure(
        root,
        folder,
        upstream=f"127.0.0.1:{upstream.server_port}",
        http=plain,
        https=secure,
        ollama=ollama,
        **values,
    )
    command = nginx.command(root, folder)
    # Without "daemon off" the command returns when the ports are open; what it leaves running would
    # hold a pipe open for ever.
    with (folder / "nginx.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    try:
        yield Site(folder, plain, secure, ollama, upstream, release, reached, files)
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
    # An office of a hundred users behind one address, each of whom loads a page, fits.
    numbers = {
        name: int(re.search(rf"{name} (?:requests )?(\d+);", text)[1])  # type: ignore[index]
        for name in ("http2_max_concurrent_streams", "limit_conn", "worker_connections")
    }
    assert 100 * numbers["http2_max_concurrent_streams"] <= numbers["limit_conn"]
    # A request has a connection of its client and one to Open WebUI.
    assert 2 * numbers["limit_conn"] <= numbers["worker_connections"]


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
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\nping"
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
    shared_site: Site, method: str, path: str, allowed: set[str]
) -> None:
    passed = set()
    for name in SESSIONS:
        shared_site.reached.clear()
        headers = {"Authorization": f"Bearer {name}", "Accept-Encoding": "gzip"}
        status, found, text = shared_site.ask(path, method=method, body=b"{}", headers=headers)
        if f"{method} {path}" in shared_site.reached:
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
def test_no_other_spelling_of_an_address_gets_past(shared_site: Site, path: str) -> None:
    headers = {"Authorization": "Bearer reader"}
    shared_site.reached.clear()
    for method in ("GET", "POST"):
        shared_site.ask(path, method=method, body=b"{}", headers=headers)
    refused = re.compile(
        r"POST /api/v1/(files|retrieval/process/\w+)/?|GET /api/v1/users/search/?|.*/session"
    )
    assert [each for each in shared_site.reached if refused.fullmatch(unquote(each))] == []


def test_nothing_is_uploaded_without_a_session(site: Site) -> None:
    for headers in ({}, {"Authorization": "Bearer unknown"}):
        site.reached.clear()
        status, _, text = site.ask("/api/v1/files/", method="POST", body=b"{}", headers=headers)
        assert (status, json.loads(text)) == (401, {"detail": "Not authenticated"})
        assert site.reached == ["GET /api/v1/auths/"]


NAMED = {"server_name": "chat.example.com", "azure_name": "chat.cloudapp.example"}


@pytest.mark.parametrize("site", [NAMED], indirect=True)
def test_only_the_name_of_the_chat_gets_the_page(site: Site) -> None:
    for host, status in {
        "chat.example.com": 200,
        "CHAT.example.com:443": 200,
        "127.0.0.1": 301,
        "10.89.0.7:443": 301,
        "chat.cloudapp.example": 301,
        "elsewhere.example": 421,
        "chat.example.com.elsewhere.example": 421,
        "localhost": 421,
    }.items():
        for path in ("/c/1?x=y", "/ready", "/ws/socket.io/"):
            site.reached.clear()
            answered, headers, _ = site.ask(path, headers={"Host": host})
            assert answered == status
            assert site.reached == ([f"GET {path}"] if status == 200 else [])
            expected = f"https://chat.example.com{path}" if status == 301 else None
            assert headers.get("location") == expected


def test_without_a_name_the_address_is_the_chats_and_no_other_host_gets_a_page(site: Site) -> None:
    assert site.ask("/", headers={"Host": "127.0.0.1:8443"})[0] == 200
    assert site.ask("/", headers={"Host": "10.0.0.4"})[1]["location"] == "https://127.0.0.1/"
    assert site.ask("/", headers={"Host": "elsewhere.example"})[0] == 421


HASHED = "/_app/immutable/chunks/B-x_1.js"
YEAR = "public, max-age=31536000, immutable"


@pytest.mark.parametrize("site", [{"second_factor": True}], indirect=True)
def test_browsers_keep_hashed_files_and_ask_for_the_rest_of_the_page(site: Site) -> None:
    for path in (HASHED, "/assets/fonts/I.ttf", "/_app/version.json", "/static/custom.css"):
        site.files[path] = "content"
    for path, kept in {
        HASHED: YEAR,
        f"{HASHED}?x=y": YEAR,
        "/assets/fonts/I.ttf": "public, max-age=86400",
        "/_app/version.json": "no-cache",
        "/static/custom.css": "no-cache",
        "/static/missing.css": "max-age=5",  # what Open WebUI says itself stays
        "/": "no-cache",
        "/_app/immutable/assets/missing.css": "no-cache",  # gets the page
        "/_app/immutable/missing.js": None,
        "/_app/immutable/x%20200%20file/_app/immutable/x.css": "no-cache",
        "/api/v1/users/1/profile/image": None,
        "/second-factor": "no-cache",
    }.items():
        for _ in range(2):
            headers = {"Accept": "text/html", "Accept-Encoding": "gzip, deflate, br, zstd"}
            assert site.ask(path, headers=headers)[1].get("cache-control") == kept, path
    etag = site.ask(HASHED)[1]["etag"]
    status, headers, _ = site.ask(HASHED, headers={"If-None-Match": etag})
    assert (status, headers["cache-control"]) == (304, YEAR)
    site.stop_open_webui()
    assert site.ask("/")[1]["cache-control"] == "no-store"
    assert site.ask("/_app/immutable/missing.css")[1]["cache-control"] == "no-store"


def test_a_file_of_the_page_is_compressed_once_for_all_browsers(site: Site, tmp_path: Path) -> None:
    site.files[HASHED] = "a"
    for accepted in ("gzip, deflate, br, zstd", "br", "gzip, deflate, br"):
        private = {"Cookie": "token=t", "Authorization": "Bearer t", "Origin": "https://127.0.0.1"}
        headers = {**private, "Accept-Encoding": accepted}
        status, found, text = site.ask(f"{HASHED}?v={len(accepted)}", headers=headers)
        assert (status, found["content-encoding"]) == (200, "br")
        assert found["vary"] == "Accept-Encoding, Origin"
        assert "content-security-policy" in found
        # No header of a user reaches Open WebUI, so that none changes what others get.
        assert text == "a br Accept-Encoding Connection Host"
    assert site.ask(HASHED, headers={"Accept-Encoding": "gzip"})[1]["content-encoding"] == "gzip"
    for accepted in ("identity", "br;q=0", "abr"):
        found = site.ask(HASHED, headers={"Accept-Encoding": accepted})[1]
        assert found["content-encoding"] == "identity"
    assert site.reached == [f"GET {HASHED}"] * 3
    # Such requests fill no log, and others of the page do.
    site.ask("/last")
    assert read_log(tmp_path, "GET /last").count(HASHED) == 3
    # A machine that is busy with Open WebUI's restart still has them.
    site.stop_open_webui()
    assert site.ask(HASHED, headers={"Accept-Encoding": "br"})[0] == 200


def test_no_answer_is_kept_that_is_not_the_file(site: Site) -> None:
    css = "/_app/immutable/assets/0.A.css"
    for path, missing in ((HASHED, 404), (css, 200)):
        assert site.ask(path)[0] == missing
        site.files[path] = "the file"
        assert site.ask(path)[2].startswith("the file")
    del site.files[HASHED]  # another version of Open WebUI, for pages that are still open
    assert site.ask(HASHED)[0] == 200
    for path in ("/_app/version.json", "/static/custom.css", "/", "/api/v1/files/1", "/cache/1"):
        for _ in range(2):
            site.reached.clear()
            site.ask(path, headers={"Authorization": "Bearer admin"})
            assert f"GET {path}" in site.reached
    for path in (
        "/assets/../api/x.js",
        "/assets/..%2fx.js",
        "/assets/%0d%0aX.js",
        "/assets/X.js%0a",
    ):
        for _ in range(2):
            site.reached.clear()
            site.ask(path)
            assert site.reached == [f"GET {path}"]


@pytest.mark.parametrize(
    "site", [{"instead": {"proxy_cache_valid 200 1h": "proxy_cache_valid 200 1s"}}], indirect=True
)
def test_an_old_file_is_only_compared_and_a_changed_one_replaced(site: Site) -> None:
    font = "/assets/fonts/I.ttf"
    site.files[font] = "a"
    first = site.ask(font)[2]
    wait_until(lambda: site.ask(font)[2] == first and "unchanged" in site.reached)
    site.files[font] = "b"
    wait_until(lambda: site.ask(font)[2].startswith("b "))


QUESTION = "hostile-question"


HOSTILE_REQUESTS = [
    f"GET /?q={QUESTION} HTTP/1.1",
    f"GET /c/1#{QUESTION} HTTP/1.1",
    f"GET /c/1%3fq={QUESTION} HTTP/1.1",
    f"GET /api/v1/chats/search?text={QUESTION} HTTP/1.1",
    f"GET /api/v1/users/search?query={QUESTION} HTTP/1.1",
    f"GET /oauth/oidc/callback?code={QUESTION} HTTP/1.1",
    f"GET /fails?code={QUESTION} HTTP/1.1",
    f"POST {SIGN_IN}?q={QUESTION} HTTP/1.1",
    f"POST /api/v1/files/?q={QUESTION} HTTP/1.1",
    f"GET https://127.0.0.1/?q={QUESTION} HTTP/1.1",
    f"GET https://elsewhere.example/?q={QUESTION} HTTP/1.1",
    f"GET /?q=a {QUESTION} HTTP/1.1",
    f"GET /?q={QUESTION} HTTP/9.9",
    f"GET /?q={QUESTION}",
    f"GET /?q={QUESTION}{'x' * 50_000} HTTP/1.1",
    f"BREW /?q={QUESTION} HTTP/1.1",
    f"?q={QUESTION}",
]


def test_no_question_is_in_a_log(site: Site, tmp_path: Path) -> None:
    referer = f"Referer: https://127.0.0.1/?q={QUESTION}"
    for request_line in HOSTILE_REQUESTS:
        lines = [request_line, "Host: 127.0.0.1", referer, "Content-Length: 0", "Connection: close"]
        for wire in (
            site.connect(),
            http.client.HTTPConnection("127.0.0.1", site.plain, timeout=30),
            http.client.HTTPConnection("127.0.0.1", site.secure, timeout=30),
        ):
            wire.connect()
            wire.sock.sendall("\r\n".join([*lines, "", ""]).encode())
            # Nginx resets a connection that it closes before it has read everything.
            with suppress(ConnectionResetError):
                while wire.sock.recv(65536):
                    pass
            wire.close()
    site.stop_open_webui()
    assert site.ask(f"/last?q={QUESTION}")[0] == 503  # an error of Nginx itself
    log = read_log(tmp_path, "GET /last HTTP/1.1")
    assert QUESTION not in log + (tmp_path / "nginx.log").read_text()


def test_the_log_says_why_there_was_no_answer(site: Site, tmp_path: Path) -> None:
    site.ask("/fails")
    log = read_log(tmp_path, "GET /fails")
    assert re.search(r'"GET /fails HTTP/1\.1" 502 .* upstream="502 0\.\d+ -"', log)
    site.stop_open_webui()
    site.ask("/c/1")
    log = read_log(tmp_path, "GET /c/1")
    assert re.search(r'"GET /c/1 HTTP/1\.1" 503 .* upstream="502 - -"', log)


def read_log(folder: Path, awaited: str) -> str:
    """Nginx's log with the request `awaited`, which Nginx writes after its answer."""
    log = folder / "access.log"
    wait_until(lambda: awaited in log.read_text())
    return log.read_text()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_large_token_passes_in_both_directions(site: Site) -> None:
    large = "x" * 30_000
    status, headers, text = site.ask(
        f"/oauth/oidc/callback?code={large}", headers={"Cookie": f"large={large}"}
    )
    assert (status, len(json.loads(text)["cookie"])) == (200, 30_006)
    assert len(headers["set-cookie"]) > 30_000


def test_strangers_do_not_lock_an_account_for_an_address_that_has_signed_in(site: Site) -> None:
    assert site.sign_in("alice@example.com", "right") == 200
    strangers = [f"127.0.0.{number}" for number in range(2, 12)]
    wrong = [site.sign_in("alice@example.com", f"{n}", each) for each in strangers for n in "abcd"]
    assert wrong == [400] * STRANGERS + [429] * (40 - STRANGERS)
    assert site.reached.count(f"POST {SIGN_IN}") == 1 + STRANGERS
    assert site.sign_in("alice@example.com", "right", strangers[0]) == 429
    assert site.sign_in("ALICE@example.com", "right") == 200
    assert site.sign_in("bob@example.com", "right", strangers[0]) == 200


def test_wrong_passwords_of_an_address_that_has_signed_in_are_limited_too(site: Site) -> None:
    assert site.sign_in("alice@example.com", "right") == 200
    wrong = [site.sign_in("alice@example.com", str(number)) for number in range(KNOWN + 2)]
    assert wrong == [400] * KNOWN + [429, 429]
    assert site.sign_in("alice@example.com", "right", "127.0.0.2") == 200


@pytest.mark.parametrize("accounts", [1, 60])
def test_right_passwords_are_not_limited(site: Site, accounts: int) -> None:
    """Sixty at once, as in a load test, and sixty one after another, as in an office."""
    emails = [f"user{number % accounts}@example.com" for number in range(60)]
    with ThreadPoolExecutor(60) as pool:
        together = list(pool.map(lambda email: site.sign_in(email, "right"), emails))
    one_by_one = [site.sign_in(email, "right") for email in emails[:55]]
    assert [*together, *one_by_one] == [200] * 115


def test_many_guesses_at_once_are_not_more_guesses(site: Site) -> None:
    with ThreadPoolExecutor(40) as pool:
        guess = pool.map(lambda number: site.sign_in("alice@example.com", str(number)), range(40))
        assert sorted(guess) == [400] * STRANGERS + [429] * (40 - STRANGERS)


def test_a_client_that_does_not_wait_for_the_answer_is_counted(site: Site) -> None:
    body = b'{"email": "alice@example.com", "password": "slow"}'
    for number in range(1, STRANGERS + 1):
        wire = site.connect()
        wire.request("POST", SIGN_IN, body)
        wait_until(lambda number=number: len(site.reached) == number)  # type: ignore[misc]
        wire.close()
    site.release.set()
    assert site.sign_in("alice@example.com", "b") == 429


def test_a_right_sign_in_answers_as_open_webui_does(site: Site) -> None:
    body = b'{"email": "alice@example.com", "password": "right"}'
    wire = site.connect()
    wire.request("POST", SIGN_IN, iter([body]), {"Content-Type": "application/json"})
    answer = wire.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"token": "t"})
    cookies = answer.headers.get_all("Set-Cookie")
    assert [each.partition("=")[0] for each in cookies or []] == ["token", "second"]
    for cookie in cookies or []:
        flags = [each.strip().lower() for each in cookie.split(";")[1:]]
        assert {"secure", "httponly", "samesite=lax"} <= {*flags}


@pytest.mark.parametrize(
    "path",
    [
        SIGN_IN,
        "/api/v1/auths/%73ignin",
        "/api/v1/auths%2Fsignin",
        "//api/v1/auths//signin",
        "/api/v1/auths/./signin",
        "/api/v1/auths/x/../signin",
        f"{SIGN_IN}?x=y",
        "/api/v1/auths/ldap",
    ],
)
def test_every_spelling_of_the_address_is_limited(site: Site, path: str) -> None:
    body = b'{"email": "alice@example.com", "user": "alice", "password": "a"}'
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": content_type}
        for _ in range(STRANGERS):
            status, found, text = site.ask(path, method="POST", body=body, headers=headers)
    assert (status, found["content-type"], found["retry-after"]) == (429, "application/json", "900")
    assert json.loads(text)["detail"].startswith("Too many wrong passwords for this account.")
    assert len(site.reached) == STRANGERS


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", b"", 422),
        ("POST", b"{}", 422),
        ("POST", b"null", 422),
        ("POST", b"email=a&password=b", 422),
        ("POST", b'{"email": ["a"], "password": "b"}', 422),
        ("POST", b'{"email": "a"}', 422),
        ("POST", b"\xff", 422),
        ("POST", b"x" * 20_000, 413),
        ("GET", None, 405),
        ("PUT", b"{}", 405),
        ("OPTIONS", None, 405),
    ],
)
def test_what_is_no_sign_in_is_refused_as_json(
    site: Site, method: str, body: bytes | None, status: int
) -> None:
    answered, headers, text = site.ask(SIGN_IN, method=method, body=body)
    assert (answered, headers["content-type"]) == (status, "application/json")
    assert json.loads(text)["detail"]
    assert site.reached == []


def test_limits_sign_ins_of_one_address_to_any_account(site: Site) -> None:
    answers = [site.ask(SIGN_IN, method="POST", body=b"{}") for _ in range(BURST + 40)]
    status, headers, text = answers[-1]
    assert (status, headers["content-type"], headers["retry-after"]) == (
        429,
        "application/json",
        "60",
    )
    assert json.loads(text)["detail"].startswith("Too many sign-ins from this address.")
    assert "content-security-policy" in headers
    assert site.ask("/")[0] == 200
    assert site.sign_in("alice@example.com", "right", "127.0.0.2") == 200


FORM = b'{"email": "alice@example.com", "password": "right"}'


def test_says_that_the_chat_is_being_prepared_and_what_is_happening(
    site: Site, tmp_path: Path
) -> None:
    site.stop_open_webui()
    for method, path in (
        ("GET", "/c/1"),
        ("POST", "/api/v1/files/"),
        ("POST", "/api/v1/chats/new"),
        ("POST", SIGN_IN),
    ):
        status, headers, text = site.ask(path, method=method, body=FORM)
        assert (status, headers["content-type"]) == (503, "text/html")
        assert "The chat is being prepared" in text
        assert 'http-equiv="refresh" content="5"' in text
        assert "STATUS" not in text  # nothing has a status yet
        status, headers, text = site.ask(
            path, method=method, body=FORM, headers={"Accept": "application/json"}
        )
        assert (status, headers["content-type"]) == (503, "application/json")
        assert "being prepared" in json.loads(text)["detail"]

    (tmp_path / "status.txt").write_text("Open WebUI is being downloaded.\n")
    assert "Open WebUI is being downloaded." in site.ask("/")[2]


@pytest.mark.parametrize(
    ("site", "accepted", "language"),
    [
        ({"language": "fr-FR"}, "it-IT,it;q=0.9", "fr"),
        *first_of(
            [
                ({"language": "fr-FR"}, "it,es;q=0.3,en-GB;q=0.7", "en"),
                ({"language": "fr-FR"}, "de-CH,de;q=0.9,en;q=0.8", "de"),
                ({"language": "fr-FR"}, "", "fr"),
                ({"language": "it-IT"}, "pt", "en"),
                ({}, "", "en"),
                ({}, "fr;q=0,ES", "es"),
                ({}, "constructor,fr;q=much,de;;,*", "en"),
            ]
        ),
    ],
    indirect=["site"],
)
def test_its_pages_have_the_browsers_language_else_the_stacks(
    site: Site, tmp_path: Path, accepted: str, language: str
) -> None:
    texts = catalog.texts("pages")[language]
    site.stop_open_webui()
    (tmp_path / "status.txt").write_text("Open WebUI goes back to v0.11.4.\n")
    _, _, text = site.ask("/", headers={"Accept-Language": accepted})
    assert f'<html lang="{language}">' in text
    assert f"<h1>{texts['preparing_title']}</h1>" in text
    assert texts["preparing"] in text
    assert not re.search(r"{\w+}|undefined", text)
    words = catalog.texts("status").get(language, {})
    status = words.get("Open WebUI goes back to {value}.", "Open WebUI goes back to {value}.")
    assert f"<p>{status.replace('{value}', 'v0.11.4')}</p>" in text
    headers = {"Accept-Language": accepted, "Accept": "application/json"}
    detail = json.loads(site.ask("/api/models", headers=headers)[2])["detail"]
    assert detail == texts["preparing_message"]


def test_a_page_that_failed_and_a_refused_sign_in_have_the_browsers_language(site: Site) -> None:
    german = {"Accept-Language": "de-DE"}
    texts = catalog.texts("pages")["de"]
    text = site.ask("/fails", headers={**german, "Accept": "text/html"})[2]
    assert texts["failed"] in text and texts["failed_again"] in text
    assert not re.search(r"{\w+}|undefined", text)
    wrong = FORM.replace(b"right", b"wrong")
    for _ in range(STRANGERS):
        site.ask(SIGN_IN, method="POST", body=wrong, headers=german)
    status, _, text = site.ask(SIGN_IN, method="POST", body=wrong, headers=german)
    words = f"{texts['too_many_passwords']} {texts['known_address']}"
    assert (status, json.loads(text)["detail"]) == (429, words)


def test_each_status_of_the_machine_has_its_words_in_each_language() -> None:
    shown = re.compile(r"""(?:show_status|close_chat)\(? ?f?"([^"]+)""")
    programs = [*TOOLS.glob("*"), *TOOLS.glob("*/*.py")]
    found = {
        words for path in programs if path.is_file() for words in shown.findall(path.read_text())
    }
    assert len(found) == 8
    statuses = {re.sub("{.+?}", "{value}", words) for words in found}
    for language, words in catalog.texts("status").items():
        assert words.keys() == statuses, language


def test_passes_nothing_on_until_an_upgrade_has_proved_that_it_works(
    site: Site, tmp_path: Path
) -> None:
    """Open WebUI runs; what it stores now may be replaced by the copy."""
    assert site.ask("/")[0] == 200
    (tmp_path / "upgrading").touch()
    (tmp_path / "status.txt").write_text("A model is being asked.\n")
    for method, path in (("GET", "/c/1"), ("POST", "/api/v1/chats/new"), ("POST", SIGN_IN)):
        status, headers, text = site.ask(path, method=method, body=FORM)
        assert (status, headers["content-type"]) == (503, "text/html")
        assert "A model is being asked." in text
    (tmp_path / "upgrading").unlink()
    assert site.ask("/")[0] == 200


def test_a_page_that_tries_again_sends_no_sign_in_code_twice(site: Site) -> None:
    site.stop_open_webui()
    text = site.ask("/oauth/oidc/callback?code=once&state=s")[2]
    assert 'http-equiv="refresh" content="5; url=/"' in text


@pytest.mark.parametrize(
    ("method", "path", "session"),
    [("GET", "/fails", ""), ("POST", "/fails", ""), ("POST", "/api/v1/files/", "Bearer fails")],
)
def test_an_answer_that_fails_is_not_called_preparation(
    site: Site, method: str, path: str, session: str
) -> None:
    html = {"Authorization": session, "Accept": "text/html,*/*"}
    status, headers, text = site.ask(path, method=method, headers=html)
    assert (status, headers["content-type"]) == (502, "text/html")
    assert "prepared" not in text
    assert "refresh" not in text
    script = {"Authorization": session, "Accept": "application/json"}
    status, headers, text = site.ask(path, method=method, headers=script)
    assert (status, headers["content-type"]) == (502, "application/json")
    assert json.loads(text)["detail"].startswith("Open WebUI did not complete its answer.")


def test_the_status_is_on_that_page_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "status.txt").write_text("Open WebUI is starting.\n")
    for path in ("/preparing-status.txt", "/status.txt", "/preparing.html"):
        assert "Open WebUI is starting." not in site.ask(path)[2]


def test_every_answer_has_the_headers_that_protect_a_page(site: Site) -> None:
    for path in ("/", "/fails", SIGN_IN, "/permission"):
        headers = site.ask(path)[1]
        policy = directives(headers)
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == ["'self'"]
        assert policy["frame-ancestors"] == ["'self'"]
        assert policy["object-src"] == ["'none'"]
        # No other site, so that no page sends anything to one.
        known = {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
        assert {each for sources in policy.values() for each in sources} <= {
            *known,
            "wss://127.0.0.1",
        }
        assert "microphone=()" in headers["permissions-policy"]
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def directives(headers: dict[str, str]) -> dict[str, list[str]]:
    parts = [each.split() for each in headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in parts}


ORIGINS = ("https://portal.example.com", "https://*.teams.example.com")


@pytest.mark.parametrize("site", [{"frame_origins": ORIGINS, "microphone": True}], indirect=True)
def test_the_sites_of_the_settings_frame_the_chat(site: Site) -> None:
    for path in ("/", "/fails"):
        headers = site.ask(path)[1]
        assert "x-frame-options" not in headers
        assert directives(headers)["frame-ancestors"] == ["'self'", *ORIGINS]
        assert "microphone" not in headers["permissions-policy"]
    for method, path in (("POST", SIGN_IN), ("GET", "/oauth/oidc/callback")):
        wire = site.connect()
        wire.request(method, path, FORM)
        cookies = wire.getresponse().headers.get_all("Set-Cookie") or []
        assert len(cookies) >= 2
        for cookie in cookies:
            flags = [each.strip().lower() for each in cookie.split(";")[1:]]
            assert flags.count("samesite=none") == flags.count("secure") == 1
            assert "samesite=lax" not in flags


def test_scripts_read_no_cookie_but_the_token_that_the_page_looks_for(site: Site) -> None:
    wire = site.connect()
    wire.request("GET", "/oauth/oidc/callback")
    flags = {
        cookie.partition("=")[0]: {each.strip().lower() for each in cookie.split(";")[1:]}
        for cookie in wire.getresponse().headers.get_all("Set-Cookie") or []
    }
    assert all({"secure", "samesite=lax"} <= each for each in flags.values())
    assert {name for name, each in flags.items() if "httponly" in each} == {"session", "large"}
    assert "token" in flags


def test_tls_is_as_in_mozillas_intermediate_profile(shared_site: Site) -> None:
    scan = [sys.executable, "-m", "sslyze", "--mozilla_config", "intermediate"]
    authority = shared_site.folder / "authority.pem"
    done = subprocess.run(
        [*scan, "--certinfo_ca_file", authority, f"127.0.0.1:{shared_site.secure}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK - Compliant" in done.stdout


@pytest.mark.parametrize("site", [{"trusted_certificate": True}], indirect=True)
def test_only_a_trusted_certificate_makes_browsers_insist_on_https(
    site: Site, shared_site: Site
) -> None:
    assert site.ask("/")[1]["strict-transport-security"] == "max-age=63072000"
    assert "strict-transport-security" not in shared_site.ask("/")[1]
    assert b"Strict-Transport" not in answer_to(site.open(tls=False), b"GET / HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Upgrade: websocket\r\nOrigin: https://127.0.0.1", 101),
        ("Upgrade: WebSocket\r\nOrigin: https://127.0.0.1", 101),
        ("Upgrade: websocket", 101),
        ("Upgrade: websocket\r\nOrigin: https://elsewhere.example", 403),
        ("Upgrade: websocket\r\nOrigin: https://127.0.0.1.elsewhere.example", 403),
        ("Upgrade: websocket\r\nOrigin: http://127.0.0.1", 403),
        ("Upgrade: websocket\r\nOrigin: null", 403),
        ("Upgrade: h2c", 200),  # not passed on, so there is nothing to change to
    ],
)
def test_pages_of_other_sites_open_no_websocket(
    shared_site: Site, headers: str, status: int
) -> None:
    start = "GET /ws/socket.io/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    wire = shared_site.open()
    wire.sendall(f"{start}{headers}\r\n\r\n".encode())
    assert wire.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())
    wire.close()


TIMES = {"client_header": "30s", "keepalive": "30s", "client_body": "30s", "send": "60s"}
SLOW = {f"{name}_timeout {time};": f"{name}_timeout 3s;" for name, time in TIMES.items()}
HEAD = b"Host: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
# Of HTTP/2: GET and POST / by HTTPS; a length of the body; a header of 10,000 bytes, without them;
# a window in which no answer fits; a ping, which is not a request.
HTTP2_GET, HTTP2_POST = (method + b"\x87\x84\x41\x09127.0.0.1" for method in (b"\x82", b"\x83"))
LENGTH, LARGE_HEADER = b"\x0f\x0d\x019", b"\x40\x01x\x7f\x91\x4d"
NO_WINDOW = b"\0\x04\0\0\0\0"
PING = http2_frame(6, 0, b"12345678", stream=0)


@pytest.mark.parametrize("site", [{"instead": SLOW}], indirect=True)
def test_slow_requests_end_and_slow_uploads_answers_and_websockets_do_not(site: Site) -> None:
    """Each limit is 3 s here. What has to pass lasts longer than each, with pauses that are shorter
    if it is an upload, as 50 MB at 1 Mbit/s (400 s) on the machine; an answer and a WebSocket pause
    longer than each limit, which on the machine an answer may do for an hour (proxy_read_timeout)
    and a WebSocket never does (Open WebUI sends a ping every 25 s)."""
    stream = site.connect()
    stream.request("GET", "/stream")
    websocket = site.open()
    websocket.sendall(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )
    assert websocket.recv(1000).startswith(b"HTTP/1.1 101")
    upload = site.open()
    upload.sendall(b"POST /upload HTTP/1.1\r\n" + HEAD)
    sent = 0

    # Each of them sends what is given here, piece after piece, until Nginx ends it.
    slow = {
        "headers": (site.open(), b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        "headers without TLS": (site.open(tls=False), b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        "nothing": (site.open(), b"", b""),
        "no TLS handshake": (site.open(handshake=False), b"", b""),
        "a body that stalls": (site.open(), b"POST / HTTP/1.1\r\n" + HEAD + b"x", b""),
        "HTTP/2 headers": (site.open(http2=True), http2_start(0), http2_frame(9, 0, b"")),
        "HTTP/2 headers by the byte": (
            site.open(http2=True),
            http2_start(0, HTTP2_POST + LARGE_HEADER),
            http2_frame(9, 0, b"x"),
        ),
        "HTTP/2 without another request": (site.open(http2=True), http2_start(5, HTTP2_GET), PING),
        "HTTP/2 without a body": (site.open(http2=True), http2_start(4, HTTP2_POST + LENGTH), PING),
        "HTTP/2 without a window": (
            site.open(http2=True),
            http2_start(5, HTTP2_GET, NO_WINDOW),
            PING,
        ),
    }
    unread = site.open()
    unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    unread.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    for wire, first, _ in slow.values():
        wire.sendall(first)
    end = time.monotonic() + 60
    while slow or "no one reads /large" not in site.reached:
        assert time.monotonic() < end, f"still open: {[*slow] or '/large'}"
        upload.sendall(b"x" * 1000)
        sent += 1000
        for name, (wire, _, more) in [*slow.items()]:
            if ended(wire, more):
                del slow[name]

    upload.sendall(b"x" * (1_000_000 - sent))
    assert b'"length": 1000000' in until(upload, b"}")
    websocket.sendall(b"ping")
    assert until(websocket, b"echo:ping")
    site.release.set()
    assert stream.getresponse().read() == b"firstsecond"


def ended(wire: socket.socket, more: bytes) -> bool:
    """Whether Nginx has ended the connection, to which the client goes on sending."""
    wire.settimeout(0.05)
    try:
        wire.sendall(more)
        while wire.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:  # it was reset
        pass
    wire.close()
    return True


LIMITS = {"limit_conn requests 4000": "limit_conn requests 3"}
LIMITS |= {"limit_conn websockets 500": "limit_conn websockets 2"}


@pytest.mark.parametrize("site", [{"instead": LIMITS}], indirect=True)
def test_one_address_has_a_limit_and_the_others_go_on(site: Site) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    websockets = [site.connect() for _ in range(2)]
    for each in websockets:
        each.request("GET", "/ws", headers=upgrade)
        assert each.getresponse().status == 101
    assert site.ask("/ws", headers=upgrade)[0] == 429
    streams = [site.connect() for _ in range(1)]
    for each in streams:
        each.request("GET", "/stream")
        assert each.getresponse().read(5) == b"first"
    status, headers, text = site.ask("/")
    assert (status, headers["content-type"]) == (429, "application/json")
    assert json.loads(text)["detail"] == "Too many requests at the same time from this address."
    assert site.ask("/", source="127.0.0.2")[0] == 200


def test_headers_and_bodies_have_a_size(shared_site: Site) -> None:
    for headers, status in {
        "X: " + "x" * 33_000: b"400",
        "\r\n".join(f"X{number}: {'x' * 30_000}" for number in range(5)): b"400",
        f"Content-Length: {101 * 2**20}": b"413",
    }.items():
        request = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n\r\n"
        assert answer_to(shared_site.open(), request.encode()).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    ("request_line", "host", "plain", "secure"),
    [
        ("GET / HTTP/1.1", "Host: 127.0.0.1", 301, 200),
        ("GET / HTTP/1.0", "Host: 127.0.0.1", 301, 200),
        ("GET / HTTP/1.0", "", 301, 421),
        ("GET / HTTP/1.1", "", 400, 400),
        ("GET / HTTP/1.1", "Host: 127.0.0.1\r\nHost: 127.0.0.1", 400, 400),
        ("GET / HTTP/1.1", "Host: elsewhere.example", 301, 421),
        ("TRACE / HTTP/1.1", "Host: 127.0.0.1", 405, 405),
        ("CONNECT a:1 HTTP/1.1", "Host: 127.0.0.1", 40, 40),
        ("GET / HTTP/9.9", "Host: 127.0.0.1", 505, 505),
        ("G\0T / HTTP/1.1", "Host: 127.0.0.1", 400, 400),
        (f"GET /{'x' * 33_000} HTTP/1.1", "Host: 127.0.0.1", 414, 414),
        ("GET /fails HTTP/1.1", "Host: 127.0.0.1", 301, 502),
    ],
)
def test_no_answer_has_a_version(
    shared_site: Site, request_line: str, host: str, plain: int, secure: int
) -> None:
    lines = [request_line, *([host] if host else []), "Connection: close", "", ""]
    request = "\r\n".join(lines)
    answers = [
        (answer_to(shared_site.open(tls=False), request.encode()), plain),
        (answer_to(shared_site.open(), request.encode()), secure),
        # Without TLS on the port for it.
        # Without TLS on the port for it: 400, or the same as with it.
        (answer_to(shared_site.open(tls=False, port=shared_site.secure), request.encode()), ""),
    ]
    for answer, status in answers:
        assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer[:500]
        assert not VERSION.search(answer), answer[:500]


VERSION = re.compile(rb"nginx/|openssl|uvicorn|python|Server: (?!nginx\r)", re.IGNORECASE)


def test_no_answer_to_malformed_http2_has_a_version(shared_site: Site) -> None:
    for malformed in (
        http2_start(4) + http2_frame(0, 0, b"x" * 17_000),
        http2_start(4) + http2_frame(1, 4, b"\xff" * 50),
        http2_start(4, b"\x82\x87\x84\x41\x01" + b"x"),
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        answer = answer_to(shared_site.open(http2=True), malformed + http2_frame(7, 0, bytes(8)))
        assert not VERSION.search(answer), answer


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/functions/load/url",
        "/api/v1/tools/load/url",
        "/api/v1//functions/load/url",
        "/api/v1/functions/load%2Furl",
        "/api/v1/tools/x/../load/url?a=b",
    ],
)
def test_no_code_is_fetched_from_an_address_while_plugins_are_off(
    shared_site: Site, path: str
) -> None:
    shared_site.reached.clear()
    status, headers, text = shared_site.ask(path, method="POST", body=b"{}")
    assert (status, headers["content-type"]) == (403, "application/json")
    assert "features.plugins" in json.loads(text)["detail"]
    assert shared_site.reached == []


@pytest.mark.parametrize("site", [{"plugins": True}], indirect=True)
def test_an_administrator_may_fetch_code_where_plugins_are_on(site: Site) -> None:
    site.ask("/api/v1/functions/load/url", method="POST", body=b"{}")
    assert site.reached == ["POST /api/v1/functions/load/url"]


def test_other_requests_of_strangers_about_accounts_are_limited_too(site: Site) -> None:
    """Each adds a line to Open WebUI's audit log."""
    connection = site.connect()
    statuses = set()
    for number in range(BURST + 40):
        path = ("/api/v1/auths/signup", "/api/v1/auths/mfa/verify")[number % 2]
        connection.request("POST", path, b"{}")
        answer = connection.getresponse()
        answer.read()
        statuses.add(answer.status)
    connection.close()
    assert statuses == {200, 429}


@pytest.mark.parametrize("site", [{"second_factor": True}], indirect=True)
def test_the_page_for_a_second_factor_has_its_script(site: Site) -> None:
    status, headers, text = site.ask("/second-factor")
    assert (status, headers["content-type"]) == (200, "text/html")
    assert 'src="/second-factor.js"' in text
    assert "<h1>Set up a second factor</h1>" in text
    text = site.ask("/second-factor", headers={"Accept-Language": "fr"})[2]
    assert "<h1>Configurer un second facteur</h1>" in text
    assert not re.search(r"{\w+}|undefined", text)
    status, headers, _ = site.ask("/second-factor.js")
    assert (status, headers["content-type"]) == (200, "text/javascript")
    assert site.reached == []


ANSWERING = (
    *("GET /api/tags", "GET /api/ps", "GET /api/version", "POST /api/show", "POST /api/chat"),
    *("POST /api/generate", "POST /api/embed", "POST /api/embeddings", "POST /v1/chat/completions"),
    *("POST /v1/completions", "POST /v1/embeddings", "POST /v1/messages", "POST /v1/responses"),
)
MANAGING = (
    *("POST /api/pull", "POST /api/push", "POST /api/create", "POST /api/copy"),
    *("DELETE /api/delete", "POST /api/blobs/sha256:0", "HEAD /api/blobs/sha256:0"),
)


@pytest.mark.parametrize("request_", ANSWERING)
def test_open_webui_gets_answers_of_ollama(shared_site: Site, request_: str) -> None:
    shared_site.reached.clear()
    assert shared_site.ask_ollama(request_, b"{}")[0] == 200
    assert shared_site.reached == [request_]


@pytest.mark.parametrize(
    "request_",
    [
        *MANAGING,
        *("GET /", "GET /api/chat", "POST /api/tags", "GET /api/unknown", "DELETE /api/chat"),
        *("POST /api/chat/", "POST /api//chat", "POST /api/%63hat", "POST /api/chat?a=b"),
        *("POST /api/pull?/api/chat", "POST /api/chat/../pull", "POST /api/pull/../chat"),
        *("POST /api/pull%3F/../chat", "POST http://10.89.0.1:11434/api/pull"),
    ],
)
def test_open_webui_manages_no_model_of_ollama(shared_site: Site, request_: str) -> None:
    shared_site.reached.clear()
    status, headers, text = shared_site.ask_ollama(request_, b"{}")
    assert (status, headers["content-type"]) == (403, "application/json")
    if not request_.startswith("HEAD"):
        assert "features.modelManagement" in json.loads(text)["error"]
    assert shared_site.reached == []


@pytest.mark.parametrize("site", [{"model_management": True}], indirect=True)
def test_administrators_manage_models_where_a_setting_allows_it(site: Site) -> None:
    for request in (*MANAGING[:-1], *ANSWERING):
        assert site.ask_ollama(request, b"{}")[0] == 200
    assert site.ask_ollama("GET /api/tags", source="127.0.0.1")[0] == 403
    assert site.reached == [*MANAGING[:-1], *ANSWERING]


def test_no_one_else_gets_answers_of_ollama(shared_site: Site) -> None:
    shared_site.reached.clear()
    assert shared_site.ask_ollama("GET /api/tags", source="127.0.0.1")[0] == 403
    assert shared_site.ask_ollama("POST /api/pull", source="127.0.0.1")[0] == 403
    assert shared_site.reached == []


@pytest.mark.parametrize("site", [{"instead": SLOW | LIMITS}], indirect=True)
def test_limits_of_browsers_are_none_of_open_webuis_way_to_ollama(site: Site) -> None:
    """Not how many run at a time, nor how slow they are."""
    head = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: "
    wires = [
        socket.create_connection(("127.0.0.1", site.ollama), 30, ("127.0.0.11", 0))
        for _ in range(6)
    ]
    *streams, question = wires
    for each in streams:
        each.sendall(head + b"6\r\n\r\nstream")
        assert b"200 OK" in until(each, b"first")
    question.sendall(head + b"120000000\r\n\r\nx")
    stalls = site.open()
    stalls.sendall(b"POST / HTTP/1.1\r\n" + HEAD + b"x")
    wait_until(lambda: ended(stalls, b""))
    question.sendall(b"x" * 119_999_999)
    answer = until(question, b'"length": 120000000')
    assert b"X-Content-Type-Options" in answer
    assert b"Content-Security-Policy" not in answer
    site.release.set()
    for each in streams:
        until(each, b"second")


def test_without_ollama_open_webui_gets_the_reason(site: Site) -> None:
    site.stop_open_webui()
    status, headers, text = site.ask_ollama("POST /api/chat", b"{}")
    assert (status, headers["content-type"]) == (502, "application/json")
    assert "systemctl status ollama" in json.loads(text)["error"]
