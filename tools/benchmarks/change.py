"""Small changes of a running chat: a user, a preset, a banner, a setting of Nginx, a model."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.e2e.deployment import Deployment
from tools.benchmarks.machine import deployed
from tools.benchmarks.machine_journal import MachineActivity, activity
from tools.benchmarks.measurement import Goal, Plot, Spread, Table
from tools.benchmarks.mirror import make_mirror
from tools.benchmarks.questions import new_question
from tools.benchmarks.run import Benchmark, Run, seconds

ROUNDS = 3
SMALL, ANOTHER = "smollm2:135m", "smollm2:360m"
TIMES = 1.5


@dataclass(frozen=True)
class SmallChange:
    """A setting that changes; `{round}` in the value becomes the number of the round."""

    key: str
    value: str

    def text(self, number: int) -> str:
        return self.value.replace("{round}", str(number))


@dataclass
class _Found:
    seconds: list[float] = field(default_factory=list)
    activities: list[MachineActivity] = field(default_factory=list)


CHANGES: Mapping[str, SmallChange] = {
    "a user": SmallChange(
        "users", json.dumps([{"email": "measured-{round}@example.org", "name": "Measured"}])
    ),
    "a preset": SmallChange(
        "presets",
        json.dumps(
            [
                {
                    "id": "measured-{round}",
                    "name": "Measured",
                    "baseModel": SMALL,
                    "system": "Be short.",
                }
            ]
        ),
    ),
    "a banner": SmallChange("banners", json.dumps([{"content": "Banner {round}"}])),
    "a setting of Nginx": SmallChange("microphone", "true"),
    "a model that the mirror has": SmallChange("models", json.dumps([SMALL, ANOTHER])),
}


def measure(run: Run) -> None:
    mirror = run.folder / "mirror"
    make_mirror(mirror, ANOTHER)
    changes = dict(CHANGES)
    if "OLLAMAZURE_E2E_HOME" in os.environ:
        del changes["a model that the mirror has"]
        run.notes.append("The machine existed before: its mirror has no other model.")
    run.say("deploying the stack")
    with deployed(run.folder, OLLAMAZURE_MIRROR=str(mirror)) as azure:
        found = {name: _Found() for name in changes}
        previews: list[float] = []
        for number in range(ROUNDS + 1):
            run.say(f"round {number} of {ROUNDS}")
            taken = seconds(lambda: azure.pulumi("preview", "--expect-no-changes"))
            if number:
                previews.append(taken)
            for name, change in changes.items():
                _apply(azure, change, number, found[name] if number else _Found())
        _add_rows(run, Spread.of(*previews), found)
        run.say("the same changes while answers are open")
        _add_answers(run, azure, changes)


def _apply(azure: Deployment, change: SmallChange, number: int, found: _Found) -> None:
    """Make the change, measured, and undo it."""
    azure.pulumi("config", "set", "--plaintext", f"ollamazure:{change.key}", change.text(number))
    azure.shell.close()
    began = time.time()
    taken = seconds(azure.up)
    ended = time.time()
    found.seconds.append(taken)
    found.activities.append(activity(azure, began, ended))
    if change.key == "models":
        azure.pulumi("config", "set", "--plaintext", f"ollamazure:{change.key}", f'["{SMALL}"]')
    else:
        azure.pulumi("config", "rm", f"ollamazure:{change.key}")
    azure.up()


def _add_rows(run: Run, preview: Spread, found: Mapping[str, _Found]) -> None:
    counts = []
    shown: list[tuple[str | float, Spread]] = []
    scripts: list[tuple[str | float, Spread]] = []
    run.row("a preview without changes", "s", preview)
    for name, values in found.items():
        total = Spread.of(*values.seconds)
        on_machine = Spread.of(*(each.seconds for each in values.activities))
        rest = Spread.of(
            *(
                taken - each.seconds
                for taken, each in zip(values.seconds, values.activities, strict=True)
            )
        )
        run.row(f"{name}: `pulumi up`", "s", total)
        run.row(f"{name}: without the scripts", "s", rest, preview, Goal("ratio", TIMES))
        shown.append((name, total))
        scripts.append((name, on_machine))
        last = values.activities[-1]
        counts.append(
            (
                name,
                f"{on_machine.median:.1f}",
                str(last.connections),
                str(len(last.commands)),
                ", ".join(sorted(each.name for each in last.commands)),
            )
        )
    header = ("change", "scripts, s", "connections", "commands", "which")
    run.tables.append(Table("On the machine, in the last round", header, counts))
    run.plots.append(
        Plot(
            "A small change",
            "",
            "seconds",
            {
                "pulumi up": shown,
                "of which scripts run on the machine": scripts,
                "a preview without changes": [(name, preview) for name, _ in shown],
            },
        )
    )


def _add_answers(run: Run, azure: Deployment, changes: Mapping[str, SmallChange]) -> None:
    for name, change in changes.items():
        with _open_answers(azure) as cut:
            _apply(azure, change, ROUNDS + 1, _Found())
        run.row(f"{name}: answers that were cut", "", Spread.of(len(cut)), goal=Goal("value", 0))
        run.notes += [f"{name}: {problem}" for problem in cut]


@contextmanager
def _open_answers(azure: Deployment) -> Iterator[list[str]]:
    """Read one long answer after the other meanwhile; yields how some were cut."""
    cut: list[str] = []
    ended, begun = threading.Event(), threading.Event()
    client = azure.client(azure.token)
    model = azure.outputs["models"][0]

    def read() -> None:
        while not ended.is_set():
            body = {
                "model": model,
                "messages": [new_question()],
                "stream": True,
                "max_tokens": 512,
            }
            try:
                with client.stream("POST", "/api/chat/completions", json=body) as answer:
                    begun.set()
                    lines = [line for line in answer.iter_lines() if line]
            except httpx.HTTPError as error:
                cut.append(f"an answer ended with {error!r}")
                ended.wait(1)
                continue
            if answer.status_code != 200 or lines[-1:] != ["data: [DONE]"]:
                cut.append(f"{answer.status_code}, and its last line was {lines[-1:]}")

    reading = threading.Thread(target=read)
    reading.start()
    try:
        begun.wait(120)
        yield cut
    finally:
        ended.set()
        reading.join()
        client.close()


BENCHMARK = Benchmark(
    name="change",
    measures="a small change of a running chat: how long, and what it does on the machine",
    constant=(
        "The same machine, stack and settings; each change is undone before the next.",
        "The reference is a preview without changes. The run time of the scripts is when at least "
        "one ran, by the machine's journal; it is subtracted.",
        f"{ROUNDS} rounds after one that does not count. Then each change once more while answers "
        "are written, which is not timed.",
    ),
    minutes=40,
    measure=measure,
)
