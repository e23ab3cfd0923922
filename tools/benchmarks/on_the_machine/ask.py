"""Asks questions and measures how the answers come in. It runs on the machine and elsewhere.

    python3 ask.py <TASK

TASK is JSON: `url`, `ca` (PEM, null without HTTPS), `openai` (the shape of the interface; else
Ollama's), `model`, `tokens` (of a session, one for each person), `max_tokens`, and `questions`:
for each person a list of conversations, asked one after the other. A conversation is a list of
messages. People ask at the same time.

It prints one line of JSON: for each person and question `first` and `total` seconds, `pieces` (one
for each token), `rate` (pieces a second after the first), `text`, `error`, and what Ollama states
of the prompt. Only Python's own library is used.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from typing import Any

PATIENCE = 600  # seconds


def main() -> None:
    task = json.load(sys.stdin)
    answers: list[list[dict[str, Any]]] = [[] for _ in task["questions"]]
    ready = threading.Barrier(len(answers))

    def person(number: int) -> None:
        connection = connect(task)
        with contextlib.suppress(OSError):  # then each question tries again, and has the error
            open_now(connection)
        ready.wait()
        for messages in task["questions"][number]:
            answer = ask(connection, task, number, messages)
            answers[number].append(answer)
            if answer["error"]:
                connection.close()  # the next question opens it again
        connection.close()

    people = [threading.Thread(target=person, args=[n]) for n in range(len(answers))]
    for each in people:
        each.start()
    for each in people:
        each.join()
    print(json.dumps(answers))


def connect(task: dict[str, Any]) -> http.client.HTTPConnection:
    """A connection that is not open yet."""
    url = urllib.parse.urlsplit(task["url"])
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context(cadata=task["ca"])
        connection = http.client.HTTPSConnection(url.netloc, timeout=PATIENCE, context=context)
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE)
    return connection


def open_now(connection: http.client.HTTPConnection) -> None:
    """Open a connection, so that no question waits for it. Raises OSError."""
    connection.connect()
    # Otherwise the body of a question waits for the acknowledgement of its header.
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def ask(
    connection: http.client.HTTPConnection, task: dict[str, Any], number: int, messages: list[Any]
) -> dict[str, Any]:
    """One question and its answer."""
    headers = {"Content-Type": "application/json"}
    if task["openai"]:
        headers["Authorization"] = "Bearer " + task["tokens"][number]
        path = "/api/chat/completions"
        body: dict[str, Any] = {"max_tokens": task["max_tokens"], "temperature": 0, "seed": 1}
    else:
        path = "/api/chat"
        body = {"options": {"num_predict": task["max_tokens"], "temperature": 0, "seed": 1}}
    body.update(model=task["model"], messages=messages, stream=True)
    text: list[str] = []
    times: list[float] = []
    stated: dict[str, Any] = {}
    error: str | None = None
    began = time.monotonic()
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            error = f"{response.status} {response.read(300).decode(errors='replace')}"
        else:
            for line in response:
                piece, also = read(line, task["openai"])
                stated.update(also)
                if piece:
                    times.append(time.monotonic() - began)
                    text.append(piece)
            error = stated.pop("error", None)
            if not times and not error:
                error = "an empty answer"
    except (OSError, http.client.HTTPException) as problem:
        error = repr(problem)
    total = time.monotonic() - began
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0
    return {
        "first": times[0] if times else None,
        "total": total,
        "pieces": len(times),
        "rate": rate,
        "text": "".join(text),
        "error": error,
        "stated": stated,
    }


def read(line: bytes, openai: bool) -> tuple[str, dict[str, Any]]:
    """The piece of the answer in a line, and what else the line states."""
    if openai:
        if not line.startswith(b"data: {"):
            failed = line.startswith(b"{") and b"error" in line
            return "", {"error": line.decode(errors="replace")[:300]} if failed else {}
        event = json.loads(line[len(b"data: ") :])
        choices = event.get("choices") or [{}]
        piece = (choices[0].get("delta") or {}).get("content") or ""
    else:
        event = json.loads(line) if line.strip() else {}
        piece = event.get("message", {}).get("content", "")
    names = ("prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration", "error")
    return piece, {name: event[name] for name in names if event.get(name)}


if __name__ == "__main__":
    main()
