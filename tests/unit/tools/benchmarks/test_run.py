"""How a benchmark repeats, and when it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tools.benchmarks.measurement import Spread
from tools.benchmarks.run import Benchmark, Run, alternate, run

pytestmark = pytest.mark.unit


def benchmark(measure: Callable[[Run], None]) -> Benchmark:
    return Benchmark("chat", "something", ("The same machine.",), 1, measure)


def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []

    def way(name: str) -> Callable[[], float]:
        def work() -> float:
            turns.append(name)
            return len(turns)

        return work

    found = alternate({"a": way("a"), "b": way("b")}, 2)
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": Spread.of(4, 5), "b": Spread.of(3, 6)}


def test_a_run_is_reported_and_its_folder_removed() -> None:
    folders = []

    def measure(collected: Run) -> None:
        folders.append(collected.folder)
        (collected.folder / "file").touch()
        collected.row("time", "s", Spread.of(1), Spread.of(2))

    report = run(benchmark(measure))
    assert (report.name, [row.ratio() for row in report.rows]) == ("chat", [0.5])
    assert report.machine["Ollama"] and report.date.count("-") == 2
    assert not folders[0].exists()


def test_a_run_that_takes_too_long_is_ended_and_cleaned_up() -> None:
    cleaned = []

    def measure(collected: Run) -> None:
        collected.row("time", "s", Spread.of(1))
        try:
            signal.raise_signal(signal.SIGALRM)
        finally:
            cleaned.append(collected.folder)

    former = signal.getsignal(signal.SIGALRM)
    report = run(benchmark(measure))
    assert len(report.rows) == 1
    assert report.notes[0].startswith("chat was ended after 1 minutes.")
    assert cleaned and not cleaned[0].exists()
    assert signal.getsignal(signal.SIGALRM) == former
    assert signal.alarm(0) == 0
