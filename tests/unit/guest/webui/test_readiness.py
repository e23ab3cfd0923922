"""The wait for an Open WebUI that works on its database, on a clock of the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from webui import readiness
from webui.errors import WebuiError
from webui.readiness import Watch

IDLE = readiness.WINDOW * readiness.IDLE_WINDOWS


class Unit:
    """Open WebUI's unit, whose processor time and database a test changes, second by second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, volume: Path) -> None:
        self.cpu: float | None = 0.0
        self.now, self.state, self.restarts = 0.0, "active", 0
        self.database = volume / "webui.db"
        self.database.write_text("x")
        self.printed: list[str] = []
        self.status: list[str] = []
        monkeypatch.setattr("webui.readiness.time.monotonic", lambda: self.now)
        monkeypatch.setattr(readiness, "find_volume", lambda: volume)
        monkeypatch.setattr(readiness, "output_of", self.output_of)
        monkeypatch.setattr(readiness, "say", self.printed.append)
        monkeypatch.setattr(readiness, "show_status", self.status.append)

    def output_of(self, command: list[str]) -> str:
        if command[0] == "journalctl":
            return "Running upgrade 1 -> 2, Add messages\nRunning upgrade 2 -> 3, Add apps"
        cpu = "[not set]" if self.cpu is None else int(self.cpu * 1e9)
        return f"ActiveState={self.state}\nNRestarts={self.restarts}\nCPUUsageNSec={cpu}\n"

    def look_for(self, seconds: int, each: Callable[[], None] = lambda: None) -> None:
        watch = Watch()
        for _ in range(seconds):
            self.now += 1
            each()
            watch.look()


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Unit:
    return Unit(monkeypatch, tmp_path)


def test_hours_of_work_on_a_processor_are_waited_for(unit: Unit) -> None:
    def compute() -> None:
        unit.cpu = unit.now / 2

    unit.look_for(4 * 3600, compute)
    assert "has worked for 14400 s" in unit.printed[-1]
    assert "It is at: Add apps." in unit.printed[-1]
    assert "for 14400 s so far" in unit.status[-1]


def test_so_are_hours_of_writing(unit: Unit) -> None:
    def write() -> None:
        if unit.now % 59 == 0:
            unit.database.write_text("x" * int(unit.now))

    unit.look_for(2 * 3600, write)


def test_one_that_does_nothing_is_a_failure(unit: Unit) -> None:
    def idle() -> None:
        unit.cpu = unit.now / 200

    unit.look_for(IDLE - 1, idle)
    with pytest.raises(WebuiError, match="for 5 minutes it has used no processor"):
        unit.look_for(IDLE, idle)


def test_without_a_known_processor_time_nothing_is_a_failure(unit: Unit) -> None:
    unit.cpu = None
    unit.look_for(2 * IDLE)


@pytest.mark.parametrize(("state", "restarts"), [("failed", 1), ("activating", 2)])
def test_one_that_ends_is_a_failure_at_once(unit: Unit, state: str, restarts: int) -> None:
    def end() -> None:
        unit.state, unit.restarts = state, restarts

    unit.restarts = 1
    with pytest.raises(WebuiError, match="its process ended"):
        unit.look_for(1, end)


def test_one_that_was_started_again_before_is_waited_for(unit: Unit) -> None:
    """For example because the network of the containers was missing."""
    unit.restarts = 12
    unit.look_for(1)
