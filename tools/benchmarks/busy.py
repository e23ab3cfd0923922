"""How much of the processors other programs use while a benchmark runs.

The kernel counts all processor time in /proc/stat. What is left after the time of our own processes
is that of others: of this process and what it started, and of the machines and helpers of our
emulated Azures, which outlive the command that starts them. The kernel's own threads count as ours,
because they work for our disks and networks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from emulator.host.processes import MARK
from emulator.instance import Instance

EVERY = 2.0  # seconds
_KERNEL_THREADS = 2  # the parent of all of them


@dataclass(frozen=True)
class Usage:
    """A process in /proc.

    Attributes:
        started: tells it apart from a later one with the same number.
        ticks: processor time of it and of its children that have ended.
    """

    parent: int
    started: int
    ticks: int


class OtherPrograms:
    """Watches the processors until it is left; `share` is what others used of them (0 to 1)."""

    def __init__(self, folder: Path) -> None:
        """The emulated Azures below `folder` are ours."""
        self._folder = folder
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._is_root: dict[tuple[int, int], bool] = {}
        self._busy = self._idle = self._ours = 0

    def __enter__(self) -> OtherPrograms:
        self._watching.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._watching.join()

    @property
    def share(self) -> float:
        return others_share(self._busy, self._idle, self._ours)

    def _watch(self) -> None:
        busy, idle, ours = *processor_ticks(Path("/proc/stat").read_text()), self._own_ticks()
        ended = False
        while not ended:
            ended = self._ended.wait(EVERY)
            before = busy, idle, ours
            busy, idle = processor_ticks(Path("/proc/stat").read_text())
            ours = self._own_ticks()
            self._busy += busy - before[0]
            self._idle += idle - before[1]
            # A machine that was removed takes its time with it.
            self._ours += max(ours - before[2], 0)

    def _own_ticks(self) -> int:
        processes = read_processes()
        own = descendants(processes, self.own_roots(processes))
        return sum(processes[number].ticks for number in own)

    def own_roots(self, processes: Mapping[int, Usage]) -> set[int]:
        """The processes that, with all that they started, are ours."""
        roots = {os.getpid(), _KERNEL_THREADS}
        marks = [
            mark
            for id_, home in Instance.homes_below(self._folder).items()
            for mark in (f"{MARK}={id_}".encode(), f"{home}".encode())
        ]
        for number, usage in processes.items():
            key = number, usage.started
            if marks and key not in self._is_root:
                self._is_root[key] = _is_marked(number, marks)
            if self._is_root.get(key):
                roots.add(number)
        return roots


def others_share(busy: int, idle: int, ours: int) -> float:
    """The share of the processors that others used, of ticks of all processors."""
    return max(busy - ours, 0) / (busy + idle) if busy + idle else 0.0


def processor_ticks(stat: str) -> tuple[int, int]:
    """How long the processors were busy and idle, from the text of /proc/stat.

    Time that a hypervisor gave to others counts as busy, and waiting for a disk as idle.
    """
    user, nice, system, idle, iowait, irq, softirq, steal = map(
        int, stat.split("\n", 1)[0].split()[1:9]
    )
    return user + nice + system + irq + softirq + steal, idle + iowait


def read_processes() -> dict[int, Usage]:
    """All processes of this host by their numbers."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text()
        except OSError:  # it has ended
            continue
        fields = stat.rpartition(")")[2].split()
        found[int(process.name)] = Usage(
            parent=int(fields[1]), started=int(fields[19]), ticks=sum(map(int, fields[11:15]))
        )
    return found


def descendants(processes: Mapping[int, Usage], roots: Iterable[int]) -> set[int]:
    """Those of `roots` that exist, with all that they started."""
    children: dict[int, list[int]] = {}
    for number, usage in processes.items():
        children.setdefault(usage.parent, []).append(number)
    found: set[int] = set()
    waiting = [root for root in roots if root in processes]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += children.get(number, [])
    return found


def _is_marked(number: int, marks: Iterable[bytes]) -> bool:
    try:
        process = Path("/proc") / str(number)
        texts = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
    except OSError:  # it has ended, or is another user's
        return False
    return any(mark in text for text in texts for mark in marks)
