"""The memory of each part: at rest, after an hour of chats, with 50 people, and with a 4B model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ollamazure import catalog
from ollamazure.sizing import memory as sizing
from tests.e2e.deployment import Deployment
from tools.benchmarks.machine import ON_THE_MACHINE, add_people, deployed, run_program
from tools.benchmarks.made_models import FOUR_BILLION
from tools.benchmarks.measurement import Goal, Plot, Spread, Table
from tools.benchmarks.mirror import make_mirror
from tools.benchmarks.open_pages import open_pages
from tools.benchmarks.questions import ask_chat, conversations, errors_of, flatten
from tools.benchmarks.run import Benchmark, Run

PEOPLE = 50
ASKING, QUESTIONS = 10, 12
"""An hour of chats: ten people who ask every five minutes."""
TIMES = 5
MOST_MIB = 512
MODEL = "model"
# What the program reserves (ollamazure/sizing/memory.py), for parts of the machine.
RESERVED = {
    "Open WebUI": (("Open WebUI",), sizing.WEBUI_GIB),
    "Nginx": (("Nginx",), sizing.NGINX_GIB),
    "the system, Podman and Ollama": (("system", "Podman", "Ollama"), sizing.SYSTEM_GIB),
}
_SHOWN = 15
Parts = Mapping[str, Mapping[str, float]]


def measure(run: Run) -> None:
    run.say("deploying the stack")
    points: dict[str, list[tuple[str | float, Spread]]] = {}
    with deployed(run.folder) as azure:
        _add_state(run, azure, "at rest", points)
        people = add_people(azure, PEOPLE)
        run.say(f"{ASKING * QUESTIONS} questions")
        replies = ask_chat(azure, conversations(ASKING, QUESTIONS), people[:ASKING])
        _keep_chats(azure, people[:ASKING])
        if errors := errors_of(list(flatten(replies))):
            run.notes.append(f"{len(errors)} answers failed, the first with: {errors[0]}")
        _add_state(run, azure, "after an hour of chats", points)
        run.say(f"{PEOPLE} people open the page")
        with open_pages(azure, people) as pages:
            _add_state(run, azure, f"{PEOPLE} people signed in", points)
        run.notes += pages.lost
        run.tables.append(_imports(azure))
    run.plots.append(Plot("Memory of the machine, without the model", "", "MiB", points))
    _add_large_model(run)


def _add_state(
    run: Run,
    azure: Deployment,
    state: str,
    points: dict[str, list[tuple[str | float, Spread]]],
) -> None:
    run.say(state)
    found: list[Parts] = [run_program(azure, "parts", None) for _ in range(TIMES)]
    for name, (parts, reserved) in RESERVED.items():
        used = Spread.of(*(sum_of(each, parts) for each in found))
        run.row(f"{state}: {name}", "MiB", used, Spread.of(reserved * 1024), Goal("ratio", 1.0))
        points.setdefault(name, []).append((state, used))
    everything = Spread.of(
        *(sum_of(each, [part for part in each if part != MODEL]) for each in found)
    )
    run.row(
        f"{state}: everything but the model",
        "MiB",
        everything,
        Spread.of(sizing.MACHINE_GIB * 1024),
        Goal("value", MOST_MIB),
    )
    if any(MODEL in each for each in found):
        used = Spread.of(*(sum_of(each, (MODEL,)) for each in found))
        model = catalog.models()[azure.outputs["models"][0]]
        run.row(f"{state}: the model", "MiB", used, _estimate(azure, model))


def sum_of(parts: Parts, names: Any) -> float:
    """MiB of several parts; a part that does not run has none."""
    return sum(parts[name]["mib"] for name in names if name in parts)


def _estimate(azure: Deployment, model: catalog.Model) -> Spread:
    """What the program reserves for a model on this machine, in MiB."""
    unit = azure.ssh("systemctl show --property Environment --value ollama").output
    settings = dict(pair.split("=", 1) for pair in unit.split() if "=" in pair)
    load = sizing.Load(
        int(settings["OLLAMA_CONTEXT_LENGTH"]),
        int(settings["OLLAMA_NUM_PARALLEL"]),
        1,
    )
    cache = float(settings["LLAMA_ARG_CACHE_RAM"])
    return Spread.of(sizing.need(model, load).total * 1024 + cache)


def _keep_chats(azure: Deployment, people: list[str]) -> None:
    """Store as many chats as questions were asked: the interface of programs stores none."""
    for token in people:
        with azure.client(token) as client:
            for number in range(QUESTIONS):
                client.post("/api/v1/chats/new", json={"chat": _chat(number)}).raise_for_status()
            client.get("/api/v1/chats/?page=1").raise_for_status()


def _chat(number: int) -> dict[str, Any]:
    messages: list[dict[str, Any]]
    asked, answered = f"question-{number}", f"answer-{number}"
    messages = [
        {
            "id": asked,
            "role": "user",
            "content": f"Question {number}",
            "parentId": None,
            "childrenIds": [answered],
        },
        {
            "id": answered,
            "role": "assistant",
            "content": "An answer. " * 100,
            "parentId": asked,
            "childrenIds": [],
        },
    ]
    history = {"messages": {each["id"]: each for each in messages}, "currentId": answered}
    return {"title": f"Chat {number}", "models": [], "messages": messages, "history": history}


def _imports(azure: Deployment) -> Table:
    program = (ON_THE_MACHINE / "import_memory.py").read_text("utf-8")
    printed = azure.ssh(
        "sudo podman exec --interactive --env DATA_DIR=/tmp/measured open-webui python3 -"
        " && sudo podman exec open-webui rm -rf /tmp/measured",
        stdin=program,
    ).output
    line = next(each for each in reversed(printed.splitlines()) if each.startswith("{"))
    sizes: dict[str, float] = json.loads(line)
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:_SHOWN]
    return Table(
        f"The largest imports of Open WebUI, of {sum(sizes.values()):.0f} MiB",
        ("package", "MiB"),
        [(name, f"{sizes[name]:.0f}") for name in largest],
    )


def _add_large_model(run: Run) -> None:
    """Deploy a model of the size for which this machine is named, and ask it."""
    run.say(f"deploying a model with the dimensions of {FOUR_BILLION.name}, of random weights")
    weights, mirror = run.folder / "weights", run.folder / "mirror"
    model = FOUR_BILLION.write(weights)
    make_mirror(mirror, FOUR_BILLION.name, weights)
    settings = {"models": json.dumps([FOUR_BILLION.name])}
    size = catalog.vm_sizes()["Standard_B2ms"]
    folder = Path(run.folder / "large")
    folder.mkdir()
    with deployed(folder, settings=settings, own=True, OLLAMAZURE_MIRROR=str(mirror)) as azure:
        ask_chat(azure, conversations(1), [azure.token], tokens=16)
        found: list[Parts] = [run_program(azure, "parts", None) for _ in range(TIMES)]
        peak = Spread.of(*(each[MODEL]["highest_mib"] for each in found))
        run.row("4B: the model's program at its peak", "MiB", peak, _estimate(azure, model))
        everything = Spread.of(*(sum_of(each, each) for each in found))
    usable = sizing.usable(size) * 1024
    run.row(
        "4B: everything on the machine, of what its system sees",
        "MiB",
        everything,
        Spread.of(usable),
        Goal("ratio", 1.0),
    )
    run.notes.append(
        f"4B: {model.download_gb:.2f} GB of weights; its answers mean nothing. An 8 GiB machine's "
        f"system sees {usable:.0f} MiB."
    )


BENCHMARK = Benchmark(
    name="memory",
    measures="the memory of each part of the machine, and whether a 4B model fits it",
    constant=(
        "One machine through three states; each measured "
        f"{TIMES} times. Memory is the proportional set size of processes: pages that several "
        "share count once, and the mapped file of a model is in it.",
        "The reference is what the program reserves for the part, by "
        "`ollamazure/sizing/memory.py`.",
    ),
    minutes=30,
    measure=measure,
)
