"""The client of Open WebUI's interface against a server that causes trouble."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from webui import __main__, client
from webui.client import WebuiSession
from webui.errors import NoAnswerError, RefusedError, WebuiError


@dataclass
class Server:
    """Answers each request with the next of `answers`: a status and a body; None hangs up."""

    answers: list[tuple[int, Any] | None]
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    server = Server([])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            server.requests.append((self.command, self.path, token, body))
            answer = server.answers.pop(0)
            if answer is None:
                return
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(json.dumps(answer[1]).encode())

        do_POST = do_GET  # noqa: N815  the base's name

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,)).start()
        sessions = iter(["first", "second", "third"])
        monkeypatch.setattr(client, "PORT", http.server_port)
        monkeypatch.setattr(client, "container_address", lambda: "127.0.0.1")
        monkeypatch.setattr(client, "run_in_container", lambda program: next(sessions))
        monkeypatch.setattr(client, "RUN", tmp_path)
        monkeypatch.setattr(client, "SESSION_FILE", tmp_path / "session")
        monkeypatch.setattr(client, "LOCK_FILE", tmp_path / "lock")
        monkeypatch.setattr(client, "AGAIN_PAUSE", 0)
        monkeypatch.setattr(client, "BUSY_PAUSE", 0)
        yield server
        http.shutdown()


def test_all_commands_share_one_session(server: Server) -> None:
    server.answers = [(200, {}), (200, {})]
    WebuiSession().get("/a")
    WebuiSession().get("/b")
    assert [token for _, _, token, _ in server.requests] == ["first", "first"]


def test_a_session_that_ended_is_renewed_once(server: Server) -> None:
    server.answers = [(401, {"detail": "ended"}), (200, {"ok": 1}), (401, {"detail": "no"})]
    session = WebuiSession()
    assert session.get("/a") == {"ok": 1}
    with pytest.raises(RefusedError, match="GET /b: 401 no"):
        session.get("/b")
    assert [token for _, _, token, _ in server.requests] == ["first", "second", "second"]


def test_all_sessions_may_end_more_than_once(server: Server) -> None:
    server.answers = [(401, {}), (200, {}), (200, {"ok": 1})]
    webui = WebuiSession()
    webui.get("/a")
    webui.forget_session()
    assert webui.get("/b") == {"ok": 1}
    assert [token for _, _, token, _ in server.requests] == ["first", "second", "third"]


def test_a_client_that_is_refused_for_too_many_requests_waits(server: Server) -> None:
    server.answers = [(429, {"detail": "later"}), (200, {"ok": 1})]
    assert WebuiSession().post("/a", {"b": 1}) == {"ok": 1}


def test_what_reads_is_repeated_and_what_changes_is_not(server: Server) -> None:
    server.answers = [None, (503, {}), (200, {"ok": 1}), None]
    assert WebuiSession().get("/a") == {"ok": 1}
    with pytest.raises(NoAnswerError, match="POST /b"):
        WebuiSession().post("/b", {})
    assert server.answers == []


def test_an_error_tells_how_long_the_client_waited(server: Server) -> None:
    server.answers = [(503, {"detail": "starting"})] * 999
    with pytest.raises(WebuiError, match=r"GET /ready: 503 starting \(still, after \d s\)"):
        WebuiSession().send("GET", "/ready", patience=0.1)


def test_lists_are_read_to_their_end(server: Server) -> None:
    server.answers = [
        (200, {"users": [1, 2], "total": 3}),
        (200, {"users": [3], "total": 3}),
    ]
    assert [*WebuiSession().pages("/users", "users", query="a b")] == [1, 2, 3]
    assert [path for _, path, _, _ in server.requests] == [
        "/users?query=a+b&page=1",
        "/users?query=a+b&page=2",
    ]


def test_a_file_is_sent_as_a_browser_does(server: Server) -> None:
    server.answers = [(200, {})]
    WebuiSession().upload("/files", 'a "b".md', b"\x00text", {"knowledge_id": "1"})
    _, _, _, body = server.requests[0]
    metadata, file = body.split(b"\r\n--")[:2]
    assert metadata.endswith(b'\r\n\r\n{"knowledge_id": "1"}')
    assert b'filename="a %22b%22.md"\r\nContent-Type: text/markdown\r\n\r\n\x00text' in file


def test_an_answer_of_another_shape_is_reported_with_its_request(
    server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    declared = tmp_path / "group" / "sales.json"
    declared.parent.mkdir()
    declared.write_text('{"name": "Sales", "description": "", "permissions": {}}')
    server.answers = [(200, {}), (200, {"groups": [{"name": "Sales"}]})]

    assert __main__.main(["apply", "group", str(declared)]) == 1

    printed = capsys.readouterr().err
    assert "group-sales: the answer to GET /api/v1/groups/ has an unexpected shape" in printed


def test_one_command_at_a_time_changes_anything(server: Server) -> None:
    server.answers = [(200, {}), (200, [])]
    removing = threading.Thread(target=__main__.main, args=(["remove", "group", "Sales"],))
    with client.lock():
        removing.start()
        removing.join(0.2)  # it would end here if it did not wait
        before = [path for _, path, _, _ in server.requests]
    removing.join()
    assert before == ["/ready"]
    assert [path for _, path, _, _ in server.requests] == ["/ready", "/api/v1/groups/"]
