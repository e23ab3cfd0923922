"""A preview without changes: how long, and where the seconds go."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.instance import Instance
from emulator.scratch import ScratchProject
from tests.engine.stack import Stack
from tools.benchmarks.measurement import Goal, Plot, Spread, Table
from tools.benchmarks.program_profile import ProgramClock, import_profile, measure_program
from tools.benchmarks.pulumi_reference import (
    PulumiFailedError,
    ReferenceProgram,
    environment_of,
    run_pulumi,
)
from tools.benchmarks.run import Benchmark, Run, alternate, seconds

ROUNDS = 7
PREVIEW = ("preview", "--expect-no-changes")
NAMES = {
    "local": "pulumi-local",
    "ours": "this program",
    "resources": "35 resources",
    "components": "35 empty components",
}


def measure(run: Run) -> None:
    instance = Instance.open(run.folder / "emulator")
    stack = Stack(instance.home)
    run.say("deploying the stack and the references in plan mode")
    stack.up()
    references = {
        name: ReferenceProgram(name, instance, plan=True) for name in ("resources", "components")
    }
    for reference in references.values():
        reference.up()

    clock = ProgramClock(run.folder)
    processes: dict[str, list[Mapping[str, float]]] = {name: [] for name in NAMES}

    def preview(name: str, work: Callable[[], object]) -> Callable[[], float]:
        def timed() -> float:
            taken = seconds(work)
            processes[name].append(clock.take())
            return taken

        return timed

    environment = environment_of(instance, plan=True) | clock.environment
    folder = ScratchProject(instance).folder
    run.say(f"previews: {ROUNDS + 1} of each of {len(NAMES)}")
    taken = alternate(
        {
            "local": preview("local", lambda: preview_locally(stack, clock.environment)),
            "ours": preview(
                "ours",
                lambda: run_pulumi(folder, environment, [*PREVIEW, "--stack", stack.name]),
            ),
            "resources": preview(
                "resources", lambda: references["resources"].run(*PREVIEW, **clock.environment)
            ),
            "components": preview(
                "components", lambda: references["components"].run(*PREVIEW, **clock.environment)
            ),
        },
        ROUNDS,
    )
    own = {
        kind: {
            name: Spread.of(*(each[kind] for each in found[1:]))
            for name, found in processes.items()
        }
        for kind in ("elapsed", "processor")
    }
    run.row("a preview without changes", "s", taken["local"], taken["resources"])
    run.row("the same, without pulumi-local", "s", taken["ours"], taken["resources"])
    run.row("35 empty components", "s", taken["components"], taken["resources"])
    run.row(
        "what pulumi-local adds to the CLI",
        "s",
        taken["local"],
        taken["ours"],
        Goal("difference", 0.3),
    )
    run.row(
        "the program's own share: processor time of its process",
        "s",
        own["processor"]["ours"],
        own["processor"]["resources"],
        Goal("ratio", 1.3),
    )
    run.row(
        "the program's process, with the time that it waits",
        "s",
        own["elapsed"]["ours"],
        own["elapsed"]["resources"],
    )
    _profile(run, stack, own, taken["ours"])


def _profile(
    run: Run, stack: Stack, own: Mapping[str, Mapping[str, Spread]], preview: Spread
) -> None:
    run.say("the program alone: imports and settings")
    alone = measure_program(stack.name, ROUNDS)
    processor, elapsed = own["processor"]["ours"].median, own["elapsed"]["ours"].median
    python, imports, settings = (
        spread.median for spread in (alone.python, alone.imports, alone.settings)
    )
    registrations = processor - imports - settings
    parts = {
        "the interpreter starts": python,
        "imports": imports - python,
        "settings and sizing": settings,
        "registrations and get functions": registrations,
        "the program waits for the engine": elapsed - processor,
        "the engine before and after the program": preview.median - elapsed,
    }
    run.tables.append(
        Table(
            "One preview, in seconds",
            ("part", "seconds"),
            [(part, f"{value:.2f}") for part, value in parts.items()],
        )
    )
    run.tables.append(import_profile())
    run.plots.append(
        Plot(
            "Where the seconds of a preview go",
            "",
            "seconds",
            {"this program": [(part, Spread.of(max(value, 0))) for part, value in parts.items()]},
        )
    )
    resources = len(stack.state()["resources"])
    run.notes.append(f"This program's stack has {resources} resources, with components.")


def preview_locally(stack: Stack, environment: Mapping[str, str]) -> None:
    process = stack.start(*PREVIEW, **environment)
    printed, _ = process.communicate()
    if process.returncode:
        raise PulumiFailedError(f"pulumi-local preview failed:\n{printed}")


BENCHMARK = Benchmark(
    name="preview",
    measures="a preview that finds no change, of the stack local and of two small programs",
    constant=(
        "The same CLI, plugins, state backend and Python environment, in plan mode, where no "
        "machine is needed.",
        f"{ROUNDS} previews of each after one that does not count, in turn.",
        "The references are in `tools/benchmarks/references/`: 35 resources of the same four "
        "providers with one get function, and 35 empty components.",
    ),
    minutes=15,
    measure=measure,
)
