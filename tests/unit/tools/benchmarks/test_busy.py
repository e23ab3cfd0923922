"""Whether other programs used the processors during a run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from emulator.host.processes import MARK
from emulator.instance import Instance
from tools.benchmarks.busy import (
    OtherPrograms,
    Usage,
    descendants,
    others_share,
    processor_ticks,
    read_processes,
)

pytestmark = pytest.mark.unit

STAT = """\
cpu  100 20 30 500 50 5 6 7 8 9
cpu0 1 2 3 4 5 6 7 8 9 10
"""


def usage(parent: int) -> Usage:
    return Usage(parent=parent, started=1, ticks=1)


def test_stolen_time_is_busy_and_waiting_for_disks_is_idle() -> None:
    assert processor_ticks(STAT) == (100 + 20 + 30 + 5 + 6 + 7, 500 + 50)


@pytest.mark.parametrize(
    ("busy", "idle", "ours", "share"),
    [(80, 20, 75, 0.05), (80, 20, 80, 0.0), (10, 90, 12, 0.0), (100, 0, 0, 1.0), (0, 0, 0, 0.0)],
)
def test_the_share_of_others(busy: int, idle: int, ours: int, share: float) -> None:
    assert others_share(busy, idle, ours) == pytest.approx(share)


def test_what_a_process_started_is_its_own() -> None:
    processes = {1: usage(0), 10: usage(1), 11: usage(10), 12: usage(11), 20: usage(1)}
    assert descendants(processes, [10]) == {10, 11, 12}
    assert descendants(processes, [11, 20, 99]) == {11, 12, 20}


def test_processes_have_their_parents() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        processes = read_processes()
        child.terminate()
    assert processes[child.pid].parent == os.getpid()
    assert child.pid in descendants(processes, [os.getpid()])


def test_helpers_of_our_emulated_azures_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A helper outlives the command that started it, so it is found by its mark."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("emulator.instance._numbers", lambda: tmp_path / "numbers")
    instance = Instance.open(tmp_path / "runs" / "emulator")
    environment = {**os.environ, MARK: instance.id}
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=environment) as helper:
        own = OtherPrograms(tmp_path / "runs").own_roots(read_processes())
        foreign = OtherPrograms(tmp_path / "others").own_roots(read_processes())
        helper.terminate()
    assert helper.pid in own
    assert helper.pid not in foreign and os.getpid() in foreign


def test_a_watch_ends_and_has_a_share(tmp_path: Path) -> None:
    with OtherPrograms(tmp_path) as others:
        pass
    assert 0 <= others.share <= 1
