"""The programs that run on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tools.benchmarks.machine import ON_THE_MACHINE
from tools.benchmarks.on_the_machine import ask, parts

pytestmark = pytest.mark.unit

OLLAMA = [
    b'{"message": {"content": "The"}, "done": false}\n',
    b'{"message": {"content": " sea"}, "done": false}\n',
    b'{"message": {"content": ""}, "done": true, "prompt_eval_count": 7, "eval_count": 2}\n',
]
OPEN_WEBUI = [
    b'data: {"choices": [{"delta": {"content": "The"}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": " sea"}}]}\n\n',
    b'data: {"choices": [{"delta": {}}], "usage": {}}\n\n',
    b"data: [DONE]\n\n",
]


@contextmanager
def serving(pieces: list[bytes], status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers each question with these pieces; yields its URL and the questions."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append({"path": self.path, **self.headers, **json.loads(body)})
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in [*pieces, b""]:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def run(task: dict[str, Any]) -> list[list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, ON_THE_MACHINE / "ask.py"],
        input=json.dumps({"ca": None, "model": "m", "max_tokens": 5, "tokens": [], **task}),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_people_ask_ollama_one_question_after_the_other() -> None:
    with serving(OLLAMA) as (url, asked):
        questions = [[question("a"), question("b")], [question("c")]]
        found = run({"url": url, "openai": False, "questions": questions})
    assert [len(answers) for answers in found] == [2, 1]
    first = found[0][0]
    assert (first["text"], first["pieces"], first["error"]) == ("The sea", 2, None)
    assert first["stated"] == {"prompt_eval_count": 7, "eval_count": 2}
    assert 0 < first["first"] <= first["total"] and first["rate"] > 0
    assert {each["path"] for each in asked} == {"/api/chat"}
    assert asked[0]["options"]["num_predict"] == 5


def test_each_person_asks_open_webui_with_a_session() -> None:
    with serving(OPEN_WEBUI) as (url, asked):
        task = {"url": url, "openai": True, "tokens": ["x"], "questions": [[question("a")]]}
        ((answer,),) = run(task)
    assert (answer["text"], answer["pieces"], answer["error"]) == ("The sea", 2, None)
    assert asked[0]["path"] == "/api/chat/completions"
    assert (asked[0]["Authorization"], asked[0]["max_tokens"]) == ("Bearer x", 5)


@pytest.mark.parametrize(
    ("pieces", "status", "error"),
    [
        ([b"no"], 503, "503 no"),
        ([], 200, "an empty answer"),
        ([b'{"error": "no memory"}\n'], 200, "no memory"),
    ],
)
def test_an_answer_that_fails_is_an_error(pieces: list[bytes], status: int, error: str) -> None:
    with serving(pieces, status) as (url, _):
        ((answer,),) = run({"url": url, "openai": False, "questions": [[question("a")]]})
    assert error in answer["error"]
    assert answer["first"] is None


def test_an_error_within_a_stream_of_open_webui_is_found() -> None:
    assert ask.read(b'{"error": "x"}\n', True) == ("", {"error": '{"error": "x"}\n'})
    assert ask.read(b"\n", True) == ("", {})


def test_what_a_process_started_belongs_to_its_part() -> None:
    part: dict[int, str | None] = dict.fromkeys(range(1, 6), "system")
    parts.mark(part, {1: [2, 5], 2: [3], 3: [4]}, 2, "Nginx")
    parts.mark(part, {}, 99, "Nginx")
    assert part == {1: "system", 2: "Nginx", 3: "Nginx", 4: "Nginx", 5: "system"}


def test_a_field_of_proc() -> None:
    assert parts.field("Rss:  10 kB\nPss:  7 kB\nPss_Dirty: 3 kB\n", "Pss") == 7
    assert parts.field("", "Pss") == 0
