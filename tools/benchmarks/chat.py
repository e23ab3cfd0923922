"""The first token and the speed of answers: from Ollama, through each hop, and in Chromium."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from playwright.sync_api import Page

from tests.e2e.browser import launch
from tests.e2e.deployment import Deployment
from tools.benchmarks.chromium import ask_in_pages, new_chat, open_chats
from tools.benchmarks.machine import add_people, deployed, wait_until_idle
from tools.benchmarks.measurement import Goal, Plot, Spread
from tools.benchmarks.questions import (
    MAX_TOKENS,
    Reply,
    ask_chat,
    ask_ollama,
    ask_open_webui,
    conversations,
    flatten,
    new_question,
    waits_of,
)
from tools.benchmarks.run import Benchmark, Run, turns

ROUNDS = {1: 15, 4: 5, 10: 4}
"""Rounds by the number of people who ask at once."""
OLLAMA, WEBUI, HTTPS, CHROMIUM = (
    "Ollama itself",
    "through Open WebUI",
    "through Nginx over HTTPS",
    "in Chromium over the WebSocket",
)


@dataclass
class _Found:
    """What one way gave: milliseconds, tokens a second, and errors."""

    firsts: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, replies: Sequence[Reply]) -> None:
        self.firsts += waits_of(replies)
        self.rates += [reply.rate for reply in replies if not reply.error]
        self.errors += [reply.error for reply in replies if reply.error]


def measure(run: Run) -> None:
    run.say("deploying the stack")
    with deployed(run.folder) as azure, launch() as browser:
        people = add_people(azure, max(ROUNDS))
        firsts: dict[str, list[tuple[str | float, Spread]]] = {}
        rates: dict[str, list[tuple[str | float, Spread]]] = {}
        pages: list[Page] = []
        for count, rounds in ROUNDS.items():
            run.say(f"{count} at once, {rounds} rounds of each way")
            pages += open_chats(browser, azure, people[len(pages) : count])
            found = _rounds(azure, people[:count], pages, rounds)
            _add_rows(run, count, found)
            for name, values in found.items():
                firsts.setdefault(name, []).append((count, Spread.of(*values.firsts)))
                rates.setdefault(name, []).append((count, Spread.of(*values.rates)))
    run.plots += [
        Plot("Until the first token", "people who ask at once", "milliseconds", firsts),
        Plot("Speed of an answer", "people who ask at once", "tokens a second", rates),
    ]


def _rounds(
    azure: Deployment, people: Sequence[str], pages: Sequence[Page], rounds: int
) -> dict[str, _Found]:
    """All ways in turn, after one round that does not count."""
    count = len(people)

    def in_chromium() -> list[Reply]:
        for page in pages:
            new_chat(page, azure)
        asked = [new_question()["content"] for _ in pages]
        found = ask_in_pages(pages, asked, MAX_TOKENS)
        wait_until_idle(azure)  # Open WebUI may ask for the title of a chat
        return [
            Reply(shown.first / 1000, 0, MAX_TOKENS, shown.rate, "", None, {}) for shown in found
        ]

    ways: dict[str, Callable[[], list[Reply]]] = {
        OLLAMA: lambda: list(flatten(ask_ollama(azure, conversations(count)))),
        WEBUI: lambda: list(flatten(ask_open_webui(azure, conversations(count), people))),
        HTTPS: lambda: list(flatten(ask_chat(azure, conversations(count), people))),
        CHROMIUM: in_chromium,
    }
    found = {name: _Found() for name in ways}
    for name, counts in turns(ways, rounds):
        replies = ways[name]()
        if counts:
            found[name].add(replies)
    return found


def _add_rows(run: Run, count: int, found: dict[str, _Found]) -> None:
    who = "one person" if count == 1 else f"{count} people"
    direct = found[OLLAMA]
    for name in (WEBUI, HTTPS, CHROMIUM):
        run.row(
            f"{who}, {name}: first token",
            "ms",
            Spread.of(*found[name].firsts),
            Spread.of(*direct.firsts),
            Goal("difference", 30) if count == 1 else None,
        )
        run.row(
            f"{who}, {name}: speed",
            "tokens/s",
            Spread.of(*found[name].rates),
            Spread.of(*direct.rates),
            Goal("ratio", 0.97, at_least=True) if count == 1 else None,
        )
        if count == 1:
            continue
        errors = found[name].errors
        goal = Goal("value", 0) if count == max(ROUNDS) else None
        run.row(f"{who}, {name}: errors", "", Spread.of(len(errors)), goal=goal)
        run.row(
            f"{who}, {name}: longest wait",
            "ms",
            Spread.of(max(found[name].firsts)),
            Spread.of(max(direct.firsts)),
        )
        run.notes += [f"{who}, {name}: {error}" for error in dict.fromkeys(errors)]


BENCHMARK = Benchmark(
    name="chat",
    measures="how long people wait for the first token, and how fast an answer is then written",
    constant=(
        "The same machine, model and settings; questions of the same length, none asked before, "
        f"of whose answers {MAX_TOKENS} tokens are read.",
        "The reference is Ollama itself, asked on the machine. Open WebUI is asked there, too; "
        "Nginx and Chromium from outside, through the emulated network. A connection is open "
        "before its question is sent.",
        "Rounds by the number of people: "
        + ", ".join(f"{count}: {rounds}" for count, rounds in ROUNDS.items())
        + ". All ways take turns.",
    ),
    minutes=25,
    measure=measure,
)
