"""Which connections and commands a machine had, from its journal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.e2e.deployment import Deployment

# guest/usr/local/lib/ollamazure/receive.sh: the lock has the name of the command.
_COMMAND = re.compile(r"COMMAND=\S*flock --close /run/ollamazure/(?P<name>\S+)\.lock bash ")
_CLOSED = "pam_unix(sudo:session): session closed"
_CONNECTED = "Accepted publickey for "
_WRITERS = ("sudo", "sshd", "sshd-session")


@dataclass(frozen=True)
class CommandRun:
    """A command of the program, with the times at which it began and ended."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class MachineActivity:
    """What a machine was used for in a time."""

    connections: int
    commands: tuple[CommandRun, ...]

    @property
    def seconds(self) -> float:
        """How long at least one command ran."""
        return covered((run.began, run.ended) for run in self.commands)


def activity(azure: Deployment, began: float, ended: float) -> MachineActivity:
    """What the machine did between two times of this host's clock, which is the machine's too."""
    writers = " ".join(f"SYSLOG_IDENTIFIER={name}" for name in _WRITERS)
    printed = azure.ssh(
        f"sudo journalctl --output json --since @{int(began)} --until @{int(ended) + 1} {writers}"
    ).output
    return read_journal(printed.splitlines(), began, ended)


def read_journal(lines: Iterable[str], began: float, ended: float) -> MachineActivity:
    """The connections and commands between two times, from a journal's lines of JSON."""
    connections, runs = 0, []
    running: dict[str, tuple[str, float]] = {}
    for line in lines:
        if not line.startswith("{"):
            continue
        entry = json.loads(line)
        message, process = entry.get("MESSAGE"), entry.get("_PID", "")
        time = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        if not isinstance(message, str) or not began <= time <= ended:
            continue
        if message.startswith(_CONNECTED):
            connections += 1
        elif found := _COMMAND.search(message):
            running[process] = found["name"].strip("'"), time
        elif message.startswith(_CLOSED) and process in running:
            name, start = running.pop(process)
            runs.append(CommandRun(name, start, time))
    # One that did not end in this time ran until its end.
    runs += [CommandRun(name, start, ended) for name, start in running.values()]
    return MachineActivity(connections, tuple(runs))


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """How long at least one of the intervals lasts."""
    total, until = 0.0, float("-inf")
    for began, ended in sorted(intervals):
        total += max(ended - max(began, until), 0)
        until = max(until, ended)
    return total
