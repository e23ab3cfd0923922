"""Connections and commands, read from a machine's journal."""

from __future__ import annotations

import json

import pytest

from tools.benchmarks.machine_journal import CommandRun, covered, read_journal

pytestmark = pytest.mark.unit


def entry(time: float, message: str, process: int = 1) -> str:
    return json.dumps(
        {"__REALTIME_TIMESTAMP": str(int(time * 1e6)), "MESSAGE": message, "_PID": str(process)}
    )


def command(time: float, name: str, process: int) -> str:
    run = f"COMMAND=/usr/bin/flock --close /run/ollamazure/{name}.lock bash /dev/shm/tmp.x"
    return entry(time, f"ollamazure : PWD=/home/ollamazure ; USER=root ; {run}", process)


def closed(time: float, process: int) -> str:
    return entry(time, "pam_unix(sudo:session): session closed for user root", process)


def test_connections_and_commands_are_found() -> None:
    lines = [
        "-- Journal begins --",
        entry(5, "Accepted publickey for ollamazure from 198.51.100.1 port 1 ssh2: ED25519 x"),
        entry(11, "Accepted publickey for ollamazure from 198.51.100.1 port 2 ssh2: ED25519 x"),
        entry(11.5, "ollamazure : USER=root ; COMMAND=/usr/bin/install -d /run/ollamazure", 7),
        closed(11.6, 7),
        command(12, "user-a", 8),
        command(12.5, "user-b", 9),
        closed(14, 8),
    ]
    found = read_journal(lines, 10, 20)
    assert found.connections == 1
    assert found.commands == (CommandRun("user-a", 12, 14), CommandRun("user-b", 12.5, 20))
    assert found.seconds == pytest.approx(8)


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [([], 0), ([(1, 3), (2, 5)], 4), ([(4, 5), (1, 2)], 2), ([(1, 9), (2, 3), (4, 5)], 8)],
)
def test_overlapping_intervals_count_once(
    intervals: list[tuple[float, float]], seconds: float
) -> None:
    assert covered(intervals) == seconds
