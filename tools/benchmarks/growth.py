"""How time, memory and connections grow with users and groups, models, and stacks."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from emulator.instance import PROJECT, Instance
from emulator.scratch import ScratchProject
from ollamazure import catalog
from tests.e2e.deployment import Deployment
from tests.engine.stack import Stack
from tools.benchmarks.engine_memory import ENGINE, PROGRAM, EngineMemory
from tools.benchmarks.machine import deployed, run_program
from tools.benchmarks.machine_journal import activity
from tools.benchmarks.measurement import Goal, Plot, Spread, Table
from tools.benchmarks.pulumi_reference import environment_of, run_pulumi
from tools.benchmarks.run import Benchmark, Run, seconds

USERS = (1, 10, 100, 1000)
USERS_IN_A_GROUP = 10
MODELS = (1, 5, 10, 20)
STACKS = (1, 5, 10)
PREVIEWS = 3
LINEAR = 1.1
SIZE, DISK_GIB = "Standard_B20ms", "512"
"""The largest size that the emulated Azure offers for models on its processors."""
# On the machine.
PEOPLE, GROUPS, PRESETS, PROMPTS = 50, 10, 20, 30
# Within the project, where settings may name files, and out of what Git sees.
TEAM_FILE = Path(".bench/team.yaml")
_ESTABLISHED = "01"  # in /proc/net/tcp
_SEVERAL = re.compile(r"^ +[-+~]+ (\d+) \w+$", re.MULTILINE)
Points = list[tuple[str | float, Spread]]


@dataclass
class Growth:
    """What was measured at each count, by what it is."""

    counts: Sequence[int]
    values: dict[str, list[Spread]] = field(default_factory=dict)

    def add(self, **measured: Spread) -> None:
        for what, value in measured.items():
            self.values.setdefault(what.replace("_", " "), []).append(value)

    def points(self, what: str) -> Points:
        return list(zip(self.counts, self.values[what], strict=True))

    def for_each(self, what: str, number: int) -> Spread:
        """What each further one takes, from the count before `number` to that of this number."""
        values, counts = self.values[what], self.counts
        grown = values[number].median - values[number - 1].median
        return Spread.of(grown / (counts[number] - counts[number - 1]))


def measure(run: Run) -> None:
    try:
        _add(run, "user", _grow_users(run), "s")
        _add(run, "model", _grow_models(run), "s")
        _grow_stacks(run)
        _fill_a_machine(run)
    finally:
        (PROJECT / TEAM_FILE).unlink(missing_ok=True)


def _add(run: Run, one: str, growth: Growth, unit: str) -> None:
    """Rows and plots of what grows, and whether it does so linearly."""
    header = (f"{one}s", *growth.values)
    rows = [
        (str(count), *(values[number].text() for values in growth.values.values()))
        for number, count in enumerate(growth.counts)
    ]
    run.tables.append(Table(f"With more {one}s, in plan mode", header, rows))
    last = len(growth.counts) - 1
    for what in growth.values:
        counts = growth.counts
        run.row(
            f"{what} for each further {one}: {counts[last - 1]} to {counts[last]}, against "
            f"{counts[last - 2]} to {counts[last - 1]}",
            "MiB" if "memory" in what else "" if what == "commands" else unit,
            growth.for_each(what, last),
            growth.for_each(what, last - 1),
            Goal("ratio", LINEAR),
        )
    run.plots += [
        Plot(
            f"With more {one}s",
            f"{one}s",
            "seconds",
            {what: growth.points(what) for what in growth.values if what in ("preview", "up")},
        ),
        Plot(
            f"Memory with more {one}s",
            f"{one}s",
            "MiB",
            {what: growth.points(what) for what in growth.values if "memory" in what},
        ),
    ]


def _grow_users(run: Run) -> Growth:
    growth = Growth(USERS)
    for count in USERS:
        run.say(f"{count} users in plan mode")
        _write_team(team_of(count, max(1, count // USERS_IN_A_GROUP)))
        stack = Stack(run.folder / f"users-{count}")
        stack.set("teamFile", str(TEAM_FILE))
        growth.add(**_deploy(stack))
    return growth


def _grow_models(run: Run) -> Growth:
    growth = Growth(MODELS)
    for count in MODELS:
        run.say(f"{count} models in plan mode")
        stack = Stack(run.folder / f"models-{count}")
        settings = {
            "vmSize": SIZE,
            "dataDiskGiB": DISK_GIB,
            "models": json.dumps(smallest_models(count)),
        }
        for key, value in settings.items():
            stack.set(key, value)
        growth.add(**_deploy(stack))
    return growth


def smallest_models(count: int) -> list[str]:
    """The chat models of the catalog that are the smallest downloads."""
    chat = {
        model.name: model.download_gb for model in catalog.models().values() if model.kind == "chat"
    }
    return sorted(chat, key=lambda name: chat[name])[:count]


def _deploy(stack: Stack) -> dict[str, Spread]:
    """`pulumi up`, and previews without changes."""
    began = time.monotonic()
    watch = EngineMemory(stack.start("up", "--yes", "--skip-preview"))
    watch.wait()
    taken = watch.ended - began
    commands = len((stack.home / "recorder.jsonl").read_text("utf-8").splitlines())
    previews = [
        seconds(lambda: stack.run("preview", "--expect-no-changes")) for _ in range(PREVIEWS)
    ]
    return {
        "preview": Spread.of(*previews),
        "up": Spread.of(taken),
        "memory_of_the_engine": Spread.of(watch.highest[ENGINE]),
        "memory_of_the_program": Spread.of(watch.highest[PROGRAM]),
        "commands": Spread.of(commands),
    }


def _grow_stacks(run: Run) -> None:
    """Stacks of one emulated Azure: how long a preview of each takes when there are more."""
    first = Stack(run.folder / "stacks")
    first.up()
    instance = Instance.open(first.home)
    folder = ScratchProject(instance).folder
    environment = environment_of(instance, plan=True)
    names = [first.name]
    points: Points = []
    for count in STACKS:
        run.say(f"{count} stacks in plan mode")
        while len(names) < count:
            name = f"measured-{len(names)}"
            shutil.copy(PROJECT / f"Pulumi.{first.name}.yaml", folder / f"Pulumi.{name}.yaml")
            run_pulumi(folder, environment, ["stack", "init", name, "--no-select"])
            run_pulumi(folder, environment, ["up", "--yes", "--skip-preview", "--stack", name])
            names.append(name)

        def preview(name: str) -> Callable[[], str]:
            arguments = ["preview", "--expect-no-changes", "--stack", name]
            return lambda: run_pulumi(folder, environment, arguments)

        points.append((count, Spread.of(*(seconds(preview(name)) for name in names))))
    run.row(
        f"a preview of one of {STACKS[-1]} stacks, against the only one",
        "s",
        points[-1][1],
        points[0][1],
        Goal("ratio", LINEAR),
    )
    run.plots.append(Plot("A preview with more stacks", "stacks", "seconds", {"preview": points}))


def _fill_a_machine(run: Run) -> None:
    """Users, groups, presets and prompts at once, on a machine; then once more without a change."""
    items = PEOPLE + GROUPS + PRESETS + PROMPTS
    run.say(f"{items} items on a machine")
    with deployed(run.folder) as azure:
        _write_team(team_of(PEOPLE, GROUPS, PRESETS, PROMPTS, azure.outputs["models"][0]))
        azure.pulumi("config", "set", "ollamazure:teamFile", str(TEAM_FILE))
        try:
            first, again = _bring(azure), _bring(azure)
        finally:
            azure.pulumi("config", "rm", "ollamazure:teamFile")
            azure.up()
    for what, value in first.items():
        run.row(f"{items} items on a machine: {what}", "", value, again[what])
    run.notes.append(
        f"On a machine, the reference of the {items} items is the same `pulumi up` once more."
    )


def _bring(azure: Deployment) -> dict[str, Spread]:
    """What one `pulumi up` takes, here and on the machine."""
    azure.shell.close()
    began = time.time()
    with _counted_connections(azure) as most:
        ran = azure.up()
    ended = time.time()
    did = activity(azure, began, ended)
    peak = run_program(azure, "parts", None)["Open WebUI"]["highest_mib"]
    counted: Mapping[str, float] = {
        "seconds": ended - began,
        "resources changed": sum(map(int, _SEVERAL.findall(ran.output))),
        "commands": len(did.commands),
        "SSH connections": did.connections,
        "SSH connections at once": max(most),
        "most memory of Open WebUI, MiB": peak,
    }
    return {what: Spread.of(value) for what, value in counted.items()}


@contextmanager
def _counted_connections(azure: Deployment) -> Iterator[list[int]]:
    """How many SSH connections are open, again and again; counted where they are opened."""
    machine = f"{socket.inet_aton(azure.address)[::-1].hex().upper()}:{22:04X}"
    counts, ended = [0], threading.Event()

    def count() -> None:
        while not ended.wait(0.01):
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            counts.append(sum((row[2], row[3]) == (machine, _ESTABLISHED) for row in rows))

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield counts
    finally:
        ended.set()
        counting.join()


def _write_team(team: Mapping[str, Any]) -> None:
    path = PROJECT / TEAM_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(dict(team)), encoding="utf-8")


def team_of(
    users: int, groups: int, presets: int = 0, prompts: int = 0, model: str = ""
) -> dict[str, list[dict[str, Any]]]:
    """The content of a team file; every second preset and prompt is for one group only."""
    names = [f"group {number}" for number in range(groups)]

    def some(number: int) -> dict[str, Any]:
        return {"access": {"groups": [names[number % groups]]}} if number % 2 else {}

    team: dict[str, list[dict[str, Any]]] = {
        "groups": [
            {
                "name": name,
                "description": f"The {number}th of them",
                "permissions": {"chat": {"file_upload": True}},
            }
            for number, name in enumerate(names)
        ],
        "users": [
            {
                "email": f"user{number}@example.org",
                "name": f"User {number}",
                "groups": sorted({names[number % groups], names[(number + 3) % groups]}),
            }
            for number in range(users)
        ],
        "presets": [
            {
                "id": f"preset-{number}",
                "name": f"Preset {number}",
                "baseModel": model,
                "system": f"You are the assistant number {number}. " * 20,
                "params": {"temperature": 0.3, "top_k": 20},
                "suggestions": ["What can you do?", "Who made you?"],
                **some(number),
            }
            for number in range(presets)
        ],
        "prompts": [
            {
                "command": f"prompt-{number}",
                "title": f"Prompt {number}",
                "content": "Sum up in five sentences: {{CLIPBOARD}} " * 20,
                **some(number),
            }
            for number in range(prompts)
        ],
    }
    return {key: items for key, items in team.items() if items}


BENCHMARK = Benchmark(
    name="growth",
    measures="previews and `pulumi up` with more users, models and stacks",
    constant=(
        "The same program, CLI and plugins. In plan mode no machine exists and commands are "
        "recorded, so `pulumi up` has the time of the program and the engine only.",
        f"{', '.join(map(str, USERS))} users in groups of {USERS_IN_A_GROUP}; "
        f"{', '.join(map(str, MODELS))} models on {SIZE}; {', '.join(map(str, STACKS))} stacks. "
        f"`pulumi up` runs once with each, a preview {PREVIEWS} times.",
        "The reference of each further one is what each further one took before: 1 is linear.",
    ),
    minutes=60,
    measure=measure,
)
