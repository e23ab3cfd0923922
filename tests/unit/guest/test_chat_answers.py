"""The final question: it gets an answer, or it names the hop that fails."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chat_answers
import pytest

from components.answer_check import sizes_in
from ollamazure.settings.groups import EXAMPLE_AUTHORITY
from tests.unit.ollamazure.settings.test_provided_certificate import Signer

TOKEN = "a-session-of-root"
SIZES = {"copiedBytes": 4096, "freeBytes": 2**30}
KEY = "a-private-key"
TRUSTS_NONE = {"system": False, "authorities": ""}
Answer = tuple[int, Any]


def stream(*events: Any) -> str:
    """The text of a streamed answer, complete."""
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def words(*contents: str) -> str:
    return stream(*({"choices": [{"delta": {"content": content}}]} for content in contents))


@dataclass
class Server:
    """A TLS server that answers as Open WebUI does, but for what a test changes in `answers`."""

    port: int
    certificate: str
    fingerprint: str
    answers: dict[str, Answer] = field(
        default_factory=lambda: {
            "/ready": (200, {"status": True}),
            "/auth": (200, "<!doctype html><html></html>"),
            "/api/models": (200, {"data": [{"id": "smollm2:135m"}]}),
            "/api/chat/completions": (200, words("", "Par", "is")),
        }
    )
    seen: list[tuple[str, Any, str | None]] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    making = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=chat"]
    making += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:chat.invalid"]
    subprocess.run(
        [*making, "-keyout", f"{path}.key", "-out", str(path)], check=True, capture_output=True
    )
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    with serve(certificate) as state:
        yield state


@contextmanager
def serving(folder: Path, begins: int, ends: int) -> Iterator[Server]:
    """The server with a certificate that begins and ends in so many days."""
    signed = Signer("chat", names=["127.0.0.1"], begins=begins, ends=ends)
    (folder / "server.pem").write_text(signed.pem + signed.key_pem)
    with serve(folder / "server.pem") as state:
        yield state


@contextmanager
def serve(certificate: Path) -> Iterator[Server]:
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
    state = Server(listener.server_port, pem, fingerprint)
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    yield state
    listener.shutdown()
    thread.join()
    listener.server_close()


@dataclass
class Asked:
    """How the program ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


class Asks:
    """Runs the program; the machine has a session, TOKEN, and may have kept a certificate."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys
        self.machine_has()

    def machine_has(self, kept: str = "") -> None:
        answers = {"session": TOKEN, "kept": kept, "sizes": SIZES}
        self.asks_machine(f"json.load(sys.stdin); print(json.dumps({answers}[what]))")

    def asks_machine(self, code: str) -> None:
        """Replaces the SSH connection; `what` is the last word of the machine's command."""
        code = f"import json, sys; what = sys.argv[1].split()[-1]; {code}"
        self.monkeypatch.setattr(chat_answers, "OVER_SSH", [sys.executable, "-c", code])

    def __call__(self, url: str, fingerprint: str | None, **more: Any) -> Asked:
        questions = {
            "url": url,
            "trust": TRUSTS_NONE,
            "fingerprint": fingerprint,
            "models": ["smollm2:135m"],
            "presets": [],
            "answer_within": 60,
            "machine": {"private_key": KEY},
            **more,
        }
        self.monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(questions)))
        code = chat_answers.main()
        printed = self.capsys.readouterr()
        assert TOKEN not in printed.out + printed.err
        assert KEY not in printed.out + printed.err
        return Asked(code, printed.out, printed.err)

    def server(self, server: Server, **more: Any) -> Asked:
        trust = {"system": False, "authorities": server.certificate}
        known = {"fingerprint": server.fingerprint, "trust": trust, **more}
        return self(f"https://127.0.0.1:{server.port}", **known)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asks:
    return Asks(monkeypatch, capsys)


def test_each_model_answers(ask: Asks, server: Server) -> None:
    done = ask.server(server)

    assert done.code == 0, done.stderr
    assert "smollm2:135m answers after" in done.stdout
    assert ": Paris\n" in done.stdout
    assert sizes_in(done.stdout) == SIZES
    path, body, authorization = server.seen[-1]
    assert path == "/api/chat/completions"
    assert (body["model"], body["stream"]) == ("smollm2:135m", True)
    assert authorization == f"Bearer {TOKEN}"


def test_no_user_signs_in(ask: Asks, server: Server) -> None:
    """So neither a second factor, a changed password nor the limit on sign-ins matters."""
    ask.server(server)
    assert [path for path, _, _ in server.seen] == [
        "/ready",
        "/auth",
        "/api/models",
        "/api/chat/completions",
    ]


def test_each_preset_answers_with_its_own_parameters(ask: Asks, server: Server) -> None:
    done = ask.server(server, presets=["brief"])
    assert done.code == 0, done.stderr
    assert "brief answers after" in done.stdout
    body = server.seen[-1][1]
    assert body.keys() == {"model", "messages", "stream"}
    assert body["model"] == "brief"


@pytest.mark.parametrize(("lasts", "sessions"), [(540, 1), (0, 4)])
def test_all_questions_have_one_session_while_it_is_valid(
    ask: Asks, server: Server, tmp_path: Path, lasts: int, sessions: int
) -> None:
    """A model may take longer to load than a session lasts."""
    seen = tmp_path / "seen"
    ask.asks_machine(
        f"open({str(seen)!r}, 'a').write(what + ' ');"
        f" print(json.dumps({{'session': {TOKEN!r}, 'sizes': {SIZES}}}[what]))"
    )
    ask.monkeypatch.setattr(chat_answers, "SESSION_LASTS", lasts)
    assert ask.server(server, presets=["brief", "long"]).code == 0
    assert sorted(seen.read_text().split()) == ["session"] * sessions + ["sizes"]


def test_a_preset_that_never_stops_is_cut_off(ask: Asks, server: Server) -> None:
    endless = [{"choices": [{"delta": {"content": "Paris "}}]}] * (3 * chat_answers.ENOUGH)
    unfinished = stream(*endless).removesuffix("data: [DONE]\n\n")
    server.answers["/api/chat/completions"] = (200, unfinished)
    assert ask.server(server, models=[], presets=["brief"]).code == 0


def test_a_session_that_cannot_be_made_is_reported(ask: Asks, server: Server) -> None:
    ask.asks_machine("sys.exit('SSH to the machine at 192.0.2.1 failed: no route')")
    done = ask.server(server)
    assert done.code == 1
    assert (
        "The chat does not answer. session: the machine's tools make no session:"
        " SSH to the machine at 192.0.2.1 failed: no route"
    ) in done.stderr


def test_takes_the_fingerprint_as_browsers_show_it(ask: Asks, server: Server) -> None:
    plain = server.fingerprint.upper()
    server.fingerprint = ":".join(plain[i : i + 2] for i in range(0, len(plain), 2))
    assert ask.server(server).code == 0


def test_from_the_machine_says_what_was_not_tested(ask: Asks, server: Server) -> None:
    url = f"https://chat.invalid:{server.port}"
    ask.monkeypatch.setattr(chat_answers, "SESSION", [*chat_answers.OVER_SSH, "session"])
    ask.monkeypatch.setattr(chat_answers, "SIZES_OF_DATA", ["false"])
    trust = {"system": False, "authorities": server.certificate}
    done = ask(url, server.fingerprint, trust=trust, connect="127.0.0.1", machine=None)
    assert done.code == 0, done.stderr
    assert "access over the internet was not tested" in done.stdout
    assert sizes_in(done.stdout) == {}  # which is no reason to fail


def test_waits_until_open_webui_is_ready(ask: Asks, server: Server) -> None:
    ready = server.answers["/ready"]
    server.answers["/ready"] = (503, "<html>The chat is being prepared</html>")

    class Ready(dict[str, Answer]):
        asked = 0

        def __getitem__(self, path: str) -> Answer:
            self.asked += path == "/ready"
            return ready if path == "/ready" and self.asked > 1 else super().__getitem__(path)

    server.answers = Ready(server.answers)
    assert ask.server(server).code == 0


def break_answer(path: str, answer: Answer) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        server.answers[path] = answer

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            break_answer("/auth", (404, {"detail": "Not Found"})),
            "sign-in page: /auth is no page: 404 Not Found.",
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
            break_answer("/api/chat/completions", (200, words(""))),
            "model smollm2:135m: an empty answer.",
        ),
        (
            break_answer("/api/chat/completions", (200, words("Paris").removesuffix("[DONE]\n\n"))),
            "model smollm2:135m: the answer is no complete stream.",
        ),
        (
            break_answer("/api/chat/completions", (200, stream({"error": {"message": "stopped"}}))),
            "model smollm2:135m: stopped.",
        ),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_names_the_hop_behind_nginx(
    ask: Asks, server: Server, change: Callable[[Server], None], expected: str
) -> None:
    change(server)
    done = ask.server(server)
    assert done.code == 1
    assert f"The chat does not answer. {expected}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2  # what, and what to do


def test_names_the_preset(ask: Asks, server: Server) -> None:
    server.answers["/api/chat/completions"] = (400, {"detail": "invalid option temperature"})
    done = ask.server(server, models=[], presets=["brief"])
    assert "The chat does not answer. preset brief: 400 invalid option temperature." in done.stderr
    assert "Change its `params` or `system` in the settings" in done.stderr


def test_names_dns(ask: Asks) -> None:
    done = ask("https://chat.invalid", "00")
    assert "The chat does not answer. DNS: chat.invalid has no address" in done.stderr


def test_names_tcp(ask: Asks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = ask(f"https://127.0.0.1:{port}", "00")
    assert f"TCP: 127.0.0.1 port {port} cannot be reached" in done.stderr
    assert "Is your address in ollamazure:allowedClients" in done.stderr
    assert "probeFrom machine" in done.stderr


def test_names_tls(ask: Asks) -> None:
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


def test_refuses_a_foreign_certificate_before_it_says_anything(ask: Asks, server: Server) -> None:
    done = ask.server(server, fingerprint="00" * 32)
    assert "TLS: 127.0.0.1" in done.stderr
    assert f"fingerprint {server.fingerprint}, not {'00' * 32}" in done.stderr
    assert server.seen == []


def test_an_unknown_fingerprint_is_not_needed(ask: Asks, server: Server) -> None:
    assert ask.server(server, fingerprint=None).code == 0


def test_the_certificate_that_the_chat_keeps_until_another_is_issued(
    ask: Asks, server: Server
) -> None:
    trust = {"system": True, "authorities": EXAMPLE_AUTHORITY}
    refused = ask.server(server, trust=trust, fingerprint=None)
    assert "has another certificate than the chat: self-signed certificate" in refused.stderr
    ask.machine_has(kept=server.certificate)
    assert ask.server(server, trust=trust, fingerprint=None).code == 0
    # With other modes, the settings alone decide.
    assert ask.server(server, trust={**trust, "system": False}, fingerprint=None).code == 1
    ask.asks_machine("sys.exit('no route')")
    done = ask.server(server, trust=trust, fingerprint=None)
    assert "certificate: the machine does not report its certificate: no route" in done.stderr


@pytest.mark.parametrize(
    ("host", "trusts", "expected"),
    [
        ("127.0.0.1", {"system": True, "authorities": ""}, "self-signed certificate"),
        ("127.0.0.1", {"system": False, "authorities": EXAMPLE_AUTHORITY}, "certificate"),
        ("localhost", None, "Hostname mismatch"),
    ],
    ids=["by no authority", "by another authority", "for another name"],
)
def test_refuses_what_no_authority_signed_for_this_name(
    ask: Asks, server: Server, host: str, trusts: dict[str, Any] | None, expected: str
) -> None:
    trust = trusts or {"system": False, "authorities": server.certificate}
    done = ask(f"https://{host}:{server.port}", server.fingerprint, trust=trust)
    assert f"TLS: {host}:{server.port} has another certificate than the chat: " in done.stderr
    assert expected in done.stderr
    assert server.seen == []


@pytest.mark.parametrize(
    ("begins", "ends", "words"), [(-9, -1, "has expired"), (1, 9, "is not valid yet")]
)
def test_names_a_certificate_outside_its_time(
    ask: Asks, tmp_path: Path, begins: int, ends: int, words: str
) -> None:
    with serving(tmp_path, begins, ends) as server:
        done = ask.server(server)
    assert f"TLS: the certificate of 127.0.0.1:{server.port} {words}." in done.stderr
    assert "Check the clock of the computer that asks." in done.stderr
    assert server.seen == []


@pytest.mark.parametrize("host", ["chat.invalid", "127.0.0.1"])
def test_a_name_that_does_not_lead_to_the_machine_yet(ask: Asks, server: Server, host: str) -> None:
    trust = {"system": True, "authorities": server.certificate}
    url = f"https://{host}:{server.port}"
    done = ask(url, server.fingerprint, trust=trust, address="127.0.0.1")
    assert done.code == 0, done.stderr
    warned = "Warning: chat.invalid does not yet lead to the machine" in done.stdout
    assert warned == (host == "chat.invalid")
