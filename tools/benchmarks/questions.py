"""Asks the questions of a benchmark, at the machine or from here, and sums up the answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.e2e.deployment import Deployment
from tools.benchmarks.machine import ON_THE_MACHINE, run_program

OLLAMA = "http://127.0.0.1:11434"
OPEN_WEBUI = "http://10.89.0.11:8080"
MAX_TOKENS = 96
Message = dict[str, str]
_numbers = count(1)


@dataclass(frozen=True)
class Reply:
    """How one answer came in, in seconds.

    Attributes:
        first: until the first piece; None if there was none.
        rate: pieces (tokens) a second after the first.
        stated: what Ollama states of it, such as `prompt_eval_duration`.
    """

    first: float | None
    total: float
    pieces: int
    rate: float
    text: str
    error: str | None
    stated: dict[str, Any]


def new_question() -> Message:
    """A question that was never asked before, always as long: no cache has more than its start."""
    return {"role": "user", "content": f"{next(_numbers):05d}: tell a long story about the sea."}


def conversations(people: int, each: int = 1) -> list[list[list[Message]]]:
    """New questions: `each` of them for each person, every one a conversation of its own."""
    return [[[new_question()] for _ in range(each)] for _ in range(people)]


def ask_ollama(
    azure: Deployment, questions: Sequence[Sequence[Sequence[Message]]], tokens: int = MAX_TOKENS
) -> list[list[Reply]]:
    """Ask Ollama itself, on the machine."""
    task = _task(azure, questions, tokens) | {"url": OLLAMA, "openai": False}
    return _replies(run_program(azure, "ask", task))


def ask_open_webui(
    azure: Deployment,
    questions: Sequence[Sequence[Sequence[Message]]],
    people: Sequence[str],
    tokens: int = MAX_TOKENS,
) -> list[list[Reply]]:
    """Ask Open WebUI, on the machine and without Nginx in front of it."""
    task = _task(azure, questions, tokens, people) | {"url": OPEN_WEBUI}
    return _replies(run_program(azure, "ask", task))


def ask_chat(
    azure: Deployment,
    questions: Sequence[Sequence[Sequence[Message]]],
    people: Sequence[str],
    tokens: int = MAX_TOKENS,
) -> list[list[Reply]]:
    """Ask from here through Nginx over HTTPS, as programs of users do."""
    task = _task(azure, questions, tokens, people)
    task |= {"url": azure.outputs["url"], "ca": azure.outputs["caCertificate"]}
    done = subprocess.run(
        [sys.executable, str(ON_THE_MACHINE / "ask.py")],
        input=json.dumps(task),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return _replies(json.loads(done.stdout))


def flatten(replies: Sequence[Sequence[Reply]]) -> Iterator[Reply]:
    """The replies of all people."""
    for person in replies:
        yield from person


def errors_of(replies: Sequence[Reply]) -> list[str]:
    return [reply.error for reply in replies if reply.error]


def waits_of(replies: Sequence[Reply]) -> list[float]:
    """Milliseconds until each first piece; an answer without any counts with all its time."""
    return [1000 * (reply.total if reply.first is None else reply.first) for reply in replies]


def _task(
    azure: Deployment,
    questions: Sequence[Sequence[Sequence[Message]]],
    max_tokens: int,
    people: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "ca": None,
        "openai": True,
        "model": azure.outputs["models"][0],
        "tokens": list(people),
        "max_tokens": max_tokens,
        "questions": questions,
    }


def _replies(answers: Sequence[Sequence[dict[str, Any]]]) -> list[list[Reply]]:
    return [[Reply(**answer) for answer in person] for person in answers]
