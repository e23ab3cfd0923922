"""Inference: against llama-bench, after a boot, and in the tenth turn of a conversation."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.e2e.deployment import Deployment, boot, wait_until
from tests.e2e.served_ollama import Server, serving, small_weights, unpack_bundle
from tools.benchmarks.llama_bench import BenchOptions, TokenSpeeds, run_llama_bench, variations
from tools.benchmarks.machine import deployed
from tools.benchmarks.made_models import ONE_BILLION
from tools.benchmarks.measurement import Goal, Plot, Spread, Table
from tools.benchmarks.questions import (
    Message,
    Reply,
    ask_chat,
    ask_ollama,
    conversations,
    new_question,
    waits_of,
)
from tools.benchmarks.run import Benchmark, Run, turns

ROUNDS = 3
BOOTS = 3
TURNS = 10
CONTEXT = 2048
PROMPT, ANSWER = 512, 64
"""Tokens that are read and written; fewer for the larger model."""
LARGER_PROMPT, LARGER_ANSWER = 128, 32
_WORDS = "one two three four five six seven eight nine ten "
_numbers = count(1)
Points = list[tuple[str | float, Spread]]


@dataclass(frozen=True)
class MeasuredModel:
    """A model that is measured, with the tokens that are read and written."""

    name: str
    file: Path
    prompt: int
    answer: int


def measure(run: Run) -> None:
    larger = run.folder / "larger.gguf"
    ONE_BILLION.write(larger)
    bundle = unpack_bundle(_made(run.folder / "ollama"))
    sizes = (
        MeasuredModel("smollm2:135m", small_weights(), PROMPT, ANSWER),
        MeasuredModel(f"as {ONE_BILLION.name}", larger, LARGER_PROMPT, LARGER_ANSWER),
    )
    for size in sizes:
        _against_llama_bench(run, size, bundle)
    run.notes.append(
        "Speculative decoding was not measured: it needs a draft model with the same tokenizer, "
        "smaller than the model, and drafts of random weights are never accepted."
    )
    run.say("deploying the stack")
    with deployed(run.folder) as azure:
        _turns(run, azure)
        _boots(run, azure)


def _against_llama_bench(run: Run, size: MeasuredModel, bundle: Path) -> None:
    """Ollama and llama-bench in turn, then llama-bench with other options."""
    base = BenchOptions(threads=os.cpu_count() or 1)
    options = variations(base)
    run.say(f"{size.name}: {ROUNDS + 1} rounds of Ollama and {len(options)} of llama-bench")
    found: dict[str, list[TokenSpeeds]] = {name: [] for name in ["Ollama", *options]}
    folder = _made(run.folder / f"served-{len(run.tables)}")
    with serving(bundle, size.file, folder) as server:
        ways: dict[str, Callable[[], TokenSpeeds]] = {
            "Ollama": lambda: _ask(server, size),
            **{name: _bench(size, each, run_llama_bench) for name, each in options.items()},
        }
        for name, counts in turns(ways, ROUNDS):
            speeds = ways[name]()
            if counts:
                found[name].append(speeds)
    at_least = Goal("ratio", 0.95, at_least=True)
    for what in ("reading", "writing"):
        ours, limit = (
            Spread.of(*(getattr(each, what) for each in found[name]))
            for name in ("Ollama", "as deployed")
        )
        run.row(f"{size.name}: {what}, against llama-bench", "tokens/s", ours, limit, at_least)
    reading: Points = [(name, Spread.of(*(each.reading for each in found[name]))) for name in found]
    writing: Points = [(name, Spread.of(*(each.writing for each in found[name]))) for name in found]
    run.tables.append(
        Table(
            f"{size.name}, tokens a second: Ollama, and llama-bench with one option changed",
            ("option", "reading", "writing"),
            [
                (str(name), read.text(), written.text())
                for (name, read), (_, written) in zip(reading, writing, strict=True)
            ],
        )
    )
    run.plots += [
        Plot(f"{size.name}: reading a prompt", "", "tokens a second", {"": reading}),
        Plot(f"{size.name}: writing an answer", "", "tokens a second", {"": writing}),
    ]


def _bench(
    size: MeasuredModel,
    options: BenchOptions,
    work: Callable[[Path, BenchOptions, int, int], TokenSpeeds],
) -> Callable[[], TokenSpeeds]:
    return lambda: work(size.file, options, size.prompt, size.answer)


def _ask(server: Server, size: MeasuredModel) -> TokenSpeeds:
    """A prompt that Ollama has not seen before, of about as many tokens as llama-bench reads."""
    words = f"{next(_numbers)} {_WORDS * (size.prompt // 10)}"
    stated = server.ask(words, CONTEXT, tokens=size.answer)
    return TokenSpeeds(
        stated["prompt_eval_count"] / stated["prompt_eval_duration"] * 1e9,
        stated["eval_count"] / stated["eval_duration"] * 1e9,
    )


def _turns(run: Run, azure: Deployment) -> None:
    """A conversation of one person, and two that take turns, at Ollama and through HTTPS."""
    ways: dict[str, Callable[[list[list[Message]]], list[Reply]]] = {
        "Ollama itself": lambda asked: [ask_ollama(azure, [[each]], 24)[0][0] for each in asked],
        "over HTTPS": lambda asked: [
            ask_chat(azure, [[each]], [azure.token], 24)[0][0] for each in asked
        ],
    }
    for people in (1, 2):
        for way, ask in ways.items():
            run.say(f"{TURNS} turns of {people}, {way}")
            first, last, stated = _converse(people, ask)
            who = "one person" if people == 1 else "two people in turns"
            run.row(
                f"{who}, {way}: first token of the tenth turn, against the first turn",
                "ms",
                Spread.of(*waits_of(last)),
                Spread.of(*waits_of(first)),
                Goal("ratio", 1.5),
            )
            if stated:
                run.tables.append(
                    Table(
                        f"{who}, {way}: what Ollama states of the prompt of each turn",
                        ("turn", "tokens", "milliseconds"),
                        stated,
                    )
                )


def _converse(
    people: int, ask: Callable[[list[list[Message]]], list[Reply]]
) -> tuple[list[Reply], list[Reply], list[tuple[str, str, str]]]:
    """The replies of the first and of the last turn, in ROUNDS conversations of each person."""
    first: list[Reply] = []
    last: list[Reply] = []
    stated: list[tuple[str, str, str]] = []
    for _ in range(ROUNDS):
        talks: list[list[Message]] = [[] for _ in range(people)]
        stated = []
        for turn in range(1, TURNS + 1):
            for talk in talks:
                talk.append(new_question())
                (reply,) = ask([talk])
                talk.append({"role": "assistant", "content": reply.text})
                first += [reply] if turn == 1 else []
                last += [reply] if turn == TURNS else []
                stated += _stated_of(turn, reply)
    return first, last, stated


def _stated_of(turn: int, reply: Reply) -> Sequence[tuple[str, str, str]]:
    if "prompt_eval_duration" not in reply.stated:
        return ()
    milliseconds = reply.stated["prompt_eval_duration"] / 1e6
    tokens = reply.stated.get("prompt_eval_count", 0)
    return ((str(turn), str(tokens), f"{milliseconds:.0f}"),)


def _boots(run: Run, azure: Deployment) -> None:
    """The first question as soon as the chat is ready after a boot, and the one after it."""
    first: list[Reply] = []
    second: list[Reply] = []
    token = azure.token
    for number in range(BOOTS):
        run.say(f"boot {number + 1} of {BOOTS}")
        before = boot(azure)
        azure.ssh("sudo systemctl reboot", check=False)
        _wait_for_boot(azure, before)
        first += ask_chat(azure, conversations(1), [token])[0]
        second += ask_chat(azure, conversations(1), [token])[0]
    run.row(
        "first question after a boot: first token, against the second question",
        "ms",
        Spread.of(*waits_of(first)),
        Spread.of(*waits_of(second)),
        Goal("ratio", 1.1),
    )
    run.notes += [f"After a boot: {reply.error}" for reply in first if reply.error]


def _wait_for_boot(azure: Deployment, before: str) -> None:
    """Wait until the machine has booted again, and Open WebUI is ready."""
    wait_until(lambda: boot(azure) != before, "a restart", patience=300)
    with azure.client() as client:
        wait_until(lambda: client.get("/ready").status_code == 200, "Open WebUI")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


BENCHMARK = Benchmark(
    name="inference",
    measures="how fast models read and write, and what they do not read again",
    constant=(
        "llama-bench is built from the same source and with the same options as the programs with "
        "which Ollama runs models. Prompts of about the same length, none seen before.",
        f"Two models: smollm2:135m, and one of random weights with the dimensions of "
        f"{ONE_BILLION.name}. {ROUNDS} rounds after one that does not count, in turn.",
        f"Conversations of {TURNS} turns, {ROUNDS} times for each person. {BOOTS} boots.",
    ),
    minutes=50,
    measure=measure,
)
