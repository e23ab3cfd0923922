"""The final question: it gets an answer, or it names the hop that fails."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components import remote_command

QUESTIONER = remote_command.GUEST / "usr/local/lib/ollamazure/chat_answers.py"
PASSWORD = "swordfish"
Answer = tuple[int, Any]


@dataclass
class Server:
    """A TLS server that answers as Open WebUI does, but for what a test changes in `answers`."""

    port: int
    fingerprint: str
    answers: dict[str, Answer] = field(
        default_factory=lambda: {
            "/ready": (200, {"status": True}),
            "/api/v1/auths/signin": (200, {"token": "tok"}),
            "/api/models": (200, {"data": [{"id": "smollm2:135m"}]}),
            "/api/chat/completions": (200, {"choices": [{"message": {"content": "Paris"}}]}),
        }
    )
    seen: list[tuple[str, Any, str | None]] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    making = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=chat"]
    subprocess.run(
        [*making, "-keyout", f"{path}.key", "-out", str(path)], check=True, capture_output=True
    )
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    pem = certificate.read_text().split("-----BEGIN PRIVATE")[0]
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            state.seen.append((self.path, body, self.headers.get("Authorization")))
            status, content = state.answers[self.path]
            text = content if isinstance(content, str) else json.dumps(content)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = answer  # noqa: N815  names of http.server

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    state = Server(listener.server_port, fingerprint)
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    yield state
    listener.shutdown()
    thread.join()
    listener.server_close()


def ask(url: str, fingerprint: str, **more: Any) -> subprocess.CompletedProcess[str]:
    questions = {
        "url": url,
        "fingerprint": fingerprint,
        "email": "admin@example.org",
        "password": PASSWORD,
        "models": ["smollm2:135m"],
        **more,
    }
    done = subprocess.run(
        [sys.executable, str(QUESTIONER)],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=False,
    )
    assert PASSWORD not in done.stdout + done.stderr
    return done


def ask_server(server: Server, **more: Any) -> subprocess.CompletedProcess[str]:
    return ask(f"https://127.0.0.1:{server.port}", server.fingerprint, **more)


def test_each_model_answers(server: Server) -> None:
    done = ask_server(server)

    assert done.returncode == 0, done.stderr
    assert "smollm2:135m answers after" in done.stdout
    assert done.stdout.endswith(": Paris\n")
    assert server.seen[-1][1]["model"] == "smollm2:135m"
    assert server.seen[-1][2] == "Bearer tok"


def test_takes_the_fingerprint_as_browsers_show_it(server: Server) -> None:
    plain = server.fingerprint.upper()
    server.fingerprint = ":".join(plain[i : i + 2] for i in range(0, len(plain), 2))
    assert ask_server(server).returncode == 0


def test_from_the_machine_says_what_was_not_tested(server: Server) -> None:
    url = f"https://chat.invalid:{server.port}"
    done = ask(url, server.fingerprint, connect="127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert "access over the internet was not tested" in done.stdout


def test_waits_until_open_webui_is_ready(server: Server) -> None:
    ready = server.answers["/ready"]
    server.answers["/ready"] = (503, "<html>The chat is being prepared</html>")

    class Ready(dict[str, Answer]):
        asked = 0

        def __getitem__(self, path: str) -> Answer:
            self.asked += path == "/ready"
            return ready if path == "/ready" and self.asked > 1 else super().__getitem__(path)

    server.answers = Ready(server.answers)
    assert ask_server(server).returncode == 0


def break_answer(path: str, answer: Answer) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        server.answers[path] = answer

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            break_answer("/api/v1/auths/signin", (400, {"detail": "wrong password"})),
            "sign-in: admin@example.org cannot sign in: 400 wrong password.",
        ),
        (
            break_answer("/api/models", (500, "Internal Server Error")),
            "Open WebUI: it does not list its models: 500 Internal Server Error.",
        ),
        (
            break_answer("/api/models", (200, {"data": []})),
            "Ollama: Open WebUI lists no model",
        ),
        (
            break_answer("/api/models", (200, {"data": [{"id": "other:1b"}]})),
            "model: smollm2:135m is not in the list: other:1b.",
        ),
        (
            break_answer("/api/chat/completions", (400, {"detail": "out of memory"})),
            "model smollm2:135m: 400 out of memory.",
        ),
        (
            break_answer("/api/chat/completions", (200, {"choices": []})),
            "model smollm2:135m: an empty answer",
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_names_the_hop_behind_nginx(
    server: Server, change: Callable[[Server], None], expected: str
) -> None:
    change(server)
    done = ask_server(server)
    assert done.returncode == 1
    assert f"The chat does not answer. {expected}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2  # what, and what to do


def test_names_dns() -> None:
    done = ask("https://chat.invalid", "00")
    assert "The chat does not answer. DNS: chat.invalid has no address" in done.stderr


def test_names_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = ask(f"https://127.0.0.1:{port}", "00")
    assert f"TCP: 127.0.0.1 port {port} cannot be reached" in done.stderr
    assert "probeFrom machine" in done.stderr


def test_names_tls() -> None:
    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up)
        thread.start()
        done = ask(f"https://127.0.0.1:{listener.getsockname()[1]}", "00")
        thread.join()
    assert "does not answer with TLS" in done.stderr


def test_refuses_a_foreign_certificate_before_it_says_anything(server: Server) -> None:
    done = ask(f"https://127.0.0.1:{server.port}", "00" * 32)
    assert "TLS: 127.0.0.1" in done.stderr
    assert f"fingerprint {server.fingerprint}, not {'00' * 32}" in done.stderr
    assert server.seen == []
