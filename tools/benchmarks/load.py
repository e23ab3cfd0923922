"""Fifty people signed in, of whom ten ask at once for ten minutes; then 10 and 50 who ask."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.e2e.deployment import Deployment
from tools.benchmarks.machine import add_people, deployed, run_program
from tools.benchmarks.measurement import Goal, Plot, Spread
from tools.benchmarks.open_pages import open_pages
from tools.benchmarks.questions import (
    Message,
    Reply,
    ask_chat,
    conversations,
    flatten,
    waits_of,
)
from tools.benchmarks.run import Benchmark, Run

SIGNED_IN, ASKING, MINUTES = 50, 10, 10
AT_ONCE = 3
"""Questions of each person in one run of the asking program, after which the time is looked at."""
EVERY = 15.0
"""Seconds between two looks at the memory, and between two sign-ins."""
SETTLED = 2.0
"""Minutes after which memory may grow no more than MOST_GROWTH times."""
MOST_GROWTH = 1.1
# As in the scenario chat-api of https://github.com/open-webui/benchmark: a system prompt that all
# share, questions of a small pool, and answers of 100 tokens.
THEIR_USERS, THEIR_REQUESTS, THEIR_TOKENS = (10, 50), 3, 100
_SYSTEM = "You are a helpful assistant. Answer in a few sentences. " * 8
_POOL = (
    "What is the capital of France?",
    "Explain what a database index is.",
    "Write a haiku about the sea.",
    "Name three planets of the solar system.",
    "How does a bicycle stay upright?",
)


@dataclass
class Watched:
    """What was seen while people asked: minutes and MiB, seconds of sign-ins, and problems."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    sign_ins: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def measure(run: Run) -> None:
    run.say("deploying the stack")
    with deployed(run.folder) as azure:
        people = add_people(azure, max(SIGNED_IN, *THEIR_USERS))
        _load(run, azure, people)
        for users in THEIR_USERS:
            run.say(f"{users} people with {THEIR_REQUESTS} questions each, as chat-api asks")
            asked = _their_questions(users)
            began = time.monotonic()
            replies = list(flatten(ask_chat(azure, asked, people[:users], THEIR_TOKENS)))
            taken = time.monotonic() - began
            _add_replies(run, f"chat-api, {users} people", replies)
            answers = sum(not reply.error for reply in replies)
            run.row(
                f"chat-api, {users} people: answers a minute", "", Spread.of(answers / taken * 60)
            )
    run.notes.append(
        "Open WebUI's own load test (open-webui/benchmark) is in no package registry, so its "
        "scenario chat-api was rebuilt from its source: as many people, a shared system prompt, "
        "questions from a pool, answers of 100 tokens at temperature 0."
    )


def _load(run: Run, azure: Deployment, people: Sequence[str]) -> None:
    run.say(f"{SIGNED_IN} people open the page, and {ASKING} ask for {MINUTES} minutes")
    replies: list[Reply] = []
    with ExitStack() as stack:
        pages = stack.enter_context(open_pages(azure, people[:SIGNED_IN]))
        ended = threading.Event()
        watched = Watched()
        watching = threading.Thread(target=_watch, args=[azure, watched, ended])
        watching.start()
        try:
            until = time.monotonic() + MINUTES * 60
            while time.monotonic() < until:
                asked = conversations(ASKING, AT_ONCE)
                replies += flatten(ask_chat(azure, asked, people[:ASKING]))
        finally:
            ended.set()
            watching.join()
        lost = list(pages.lost)
    name = f"{ASKING} of {SIGNED_IN} people"
    _add_replies(run, name, replies)
    run.row(f"{name}: lost connections", "", Spread.of(len(lost)), goal=Goal("value", 0))
    run.row(
        f"{name}: the administrator signs in meanwhile", "s", Spread.of(*watched.sign_ins or [0])
    )
    run.row(f"{name}: failed sign-ins", "", Spread.of(len(watched.problems)), goal=Goal("value", 0))
    early, late = halves(watched.memory)
    run.row(
        f"{name}: memory of Open WebUI in the last minutes, against minute {SETTLED:g} on",
        "MiB",
        late,
        early,
        Goal("ratio", MOST_GROWTH),
    )
    run.plots.append(
        Plot(
            "Memory of Open WebUI while people ask",
            "minutes",
            "MiB",
            {"": [(round(minute, 2), Spread.of(mib)) for minute, mib in watched.memory]},
        )
    )
    run.notes += dict.fromkeys([*lost, *watched.problems])


def halves(memory: Sequence[tuple[float, float]]) -> tuple[Spread, Spread]:
    """The first third of the values from SETTLED on, and the last third."""
    settled = [mib for minute, mib in memory if minute >= SETTLED] or [mib for _, mib in memory]
    third = max(len(settled) // 3, 1)
    return Spread.of(*settled[:third]), Spread.of(*settled[-third:])


def _watch(azure: Deployment, watched: Watched, ended: threading.Event) -> None:
    """Look at the memory, and sign the administrator in, until the load ends."""
    began = time.monotonic()
    while not ended.is_set():
        parts = run_program(azure, "parts", None)
        minutes = (time.monotonic() - began) / 60
        watched.memory.append((minutes, parts["Open WebUI"]["mib"]))
        start = time.monotonic()
        try:
            azure.sign_in()
        except Exception as error:  # whatever failed is a result
            watched.problems.append(f"a sign-in failed: {error!r}")
        else:
            watched.sign_ins.append(time.monotonic() - start)
        ended.wait(EVERY)


def _their_questions(users: int) -> list[list[list[Message]]]:
    system = {"role": "system", "content": _SYSTEM}
    return [
        [
            [system, {"role": "user", "content": _POOL[(user + number) % len(_POOL)]}]
            for number in range(THEIR_REQUESTS)
        ]
        for user in range(users)
    ]


def _add_replies(run: Run, name: str, replies: Sequence[Reply]) -> None:
    errors = [reply.error for reply in replies if reply.error]
    waits = waits_of(replies)
    answered = [reply for reply in replies if not reply.error]
    run.row(
        f"{name}: errors, of {len(replies)} answers",
        "",
        Spread.of(len(errors)),
        goal=Goal("value", 0),
    )
    run.row(f"{name}: until the first token", "ms", Spread.of(*waits))
    run.row(f"{name}: the longest wait", "ms", Spread.of(max(waits)))
    if len(waits) > 1:
        run.row(
            f"{name}: 95 % wait at most", "ms", Spread.of(statistics.quantiles(waits, n=20)[-1])
        )
    if answered:
        rates = Spread.of(*(reply.rate for reply in answered))
        run.row(f"{name}: speed of an answer", "tokens/s", rates)
    run.notes += [f"{name}: {error}" for error in dict.fromkeys(errors)]


BENCHMARK = Benchmark(
    name="load",
    measures="many people at once on the smallest machine",
    constant=(
        "One machine of the size Standard_B2ms and its model; all through Nginx over HTTPS. A "
        "person who is signed in has a session and an open WebSocket.",
        f"Once: {ASKING} of {SIGNED_IN} people ask one question after the other for {MINUTES} "
        f"minutes. Then {' and '.join(map(str, THEIR_USERS))} people, {THEIR_REQUESTS} questions "
        "each. There is no reference but the first minutes for the memory.",
    ),
    minutes=45,
    measure=measure,
)
