"""A run of one benchmark: what it collects, how it repeats, and when it ends."""

from __future__ import annotations

import datetime
import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ollamazure import catalog
from tools.benchmarks.busy import OtherPrograms
from tools.benchmarks.measurement import BenchmarkReport, Comparison, Goal, Plot, Spread, Table


class TimeLimitError(Exception):
    """A benchmark took longer than it may."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        measures: one sentence.
        constant: what is the same for this project and its reference, in sentences.
        minutes: after these it is ended, and what it made is removed.
    """

    name: str
    measures: str
    constant: Sequence[str]
    minutes: int
    measure: Callable[[Run], None]


@dataclass
class Run:
    """What a benchmark collects; `folder` is removed when it ends."""

    folder: Path
    rows: list[Comparison] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(
        self,
        what: str,
        unit: str,
        ours: Spread,
        reference: Spread | None = None,
        goal: Goal | None = None,
    ) -> None:
        self.rows.append(Comparison(what, unit, ours, reference, goal))

    def say(self, text: str) -> None:
        """Show how far the run is."""
        print(f"  {text}", flush=True)


def run(benchmark: Benchmark) -> BenchmarkReport:
    """Run a benchmark to its end.

    If it takes too long, the report has what was measured until then, and says so.

    Raises:
        Exception: it could not measure; whatever it raised.
    """
    # Not in /tmp, which may be in memory: machines and their disks are made here.
    with tempfile.TemporaryDirectory(prefix="ollamazure-bench-", dir="/var/tmp") as folder:
        collected = Run(Path(folder))
        began = time.monotonic()
        kept = os.environ.get("OLLAMAZURE_E2E_HOME")
        ours = Path(kept).resolve() if kept else collected.folder
        with OtherPrograms(ours) as others:
            try:
                with _time_limit(benchmark):
                    benchmark.measure(collected)
            except TimeLimitError as error:
                collected.notes.append(f"{error} What is missing here was not measured.")
        return BenchmarkReport(
            name=benchmark.name,
            measures=benchmark.measures,
            constant=benchmark.constant,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            seconds=round(time.monotonic() - began, 1),
            machine=describe_machine(),
            others=round(others.share, 3),
            rows=collected.rows,
            plots=collected.plots,
            tables=collected.tables,
            notes=collected.notes,
        )


def turns(names: Iterable[str], rounds: int, warm_up: int = 1) -> Iterator[tuple[str, bool]]:
    """Each name in each round, and whether the round counts: the first `warm_up` do not.

    The order is reversed in every second round: what changes slowly on this machine then meets all.
    """
    order = list(names)
    for number in range(warm_up + rounds):
        for name in order if number % 2 == 0 else reversed(order):
            yield name, number >= warm_up


def alternate(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Spread]:
    """What each way returned in each round that counts; the ways take turns."""
    values: dict[str, list[float]] = {name: [] for name in ways}
    for name, counts in turns(ways, rounds):
        value = ways[name]()
        if counts:
            values[name].append(value)
    return {name: Spread.of(*measured) for name, measured in values.items()}


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def describe_machine() -> dict[str, str]:
    """This machine and the versions that the program deploys."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = catalog.versions()
    return {
        "processors": f"{os.cpu_count()} of {processor}",
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "Ollama": versions.ollama.version,
        "Open WebUI": versions.open_webui.tag,
        "Nginx": versions.nginx.tag,
    }


@contextmanager
def _time_limit(benchmark: Benchmark) -> Iterator[None]:
    """Raise TimeLimitError in whatever the main thread does when the time is over."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeLimitError(
            f"{benchmark.name} was ended after {benchmark.minutes} minutes. Run it again on a "
            "machine that does nothing else."
        )

    former = signal.signal(signal.SIGALRM, end)
    signal.alarm(benchmark.minutes * 60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
