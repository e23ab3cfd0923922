"""Helpers that outlive their caller: slirp4netns and the mirror server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.azure.fabric import FabricError
from emulator.host.commands import missing_programs, wait_until
from emulator.host.places import Places, replace_text
from emulator.instance import PROJECT


@dataclass(frozen=True)
class _Record:
    """A started helper. `started` tells it apart from a later process with the same pid."""

    pid: int
    started: str | None
    args: list[str]

    @property
    def alive(self) -> bool:
        _reap(self.pid)
        return self.started is not None and _start_time(self.pid) == self.started


MARK = "OLLAMAZURE_HELPER_OF"
"""In every helper's environment, with the instance's id, so that removal finds all of them."""


class Processes:
    """The instance's long-running helpers, by name."""

    def __init__(self, places: Places) -> None:
        self._folder = places.state / "processes"
        self._environment = os.environ | {MARK: places.instance.id}

    def ensure(self, name: str, args: Sequence[str], ready: Callable[[], bool]) -> None:
        """Start the helper unless it runs with these arguments; wait for it. Raises FabricError."""
        record = self._read(name)
        if record and record.alive and record.args == list(args):
            return
        self.stop(name)
        self._start(name, list(args))
        if wait_until(lambda: ready() or not self.alive(name), 30) and self.alive(name):
            return
        output = self.log(name).read_text()[-600:].strip()
        raise FabricError(
            "InternalExecutionError",
            f"The emulator's helper {name} did not start on this host: "
            f"{output or 'it printed nothing'}",
        )

    def alive(self, name: str) -> bool:
        record = self._read(name)
        return record is not None and record.alive

    def names(self) -> list[str]:
        return sorted(file.stem for file in self._folder.glob("*.json"))

    def stop(self, name: str) -> None:
        """End the helper if it is still ours, wait for its end, and delete its record."""
        record = self._read(name)
        if record and record.alive:
            _end(record)
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _start(self, name: str, args: list[str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("w") as log:
            try:
                process = subprocess.Popen(
                    args,
                    cwd=PROJECT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except FileNotFoundError as missing:
                raise missing_programs(args[0]) from missing
        record = _Record(process.pid, _start_time(process.pid), args)
        replace_text(self._folder / f"{name}.json", json.dumps(asdict(record)))

    def _read(self, name: str) -> _Record | None:
        file = self._folder / f"{name}.json"
        return _Record(**json.loads(file.read_text())) if file.exists() else None


def _end(record: _Record) -> None:
    """Kill a helper: it has nothing to save, and slirp4netns ignores gentler signals."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(record.pid, signal.SIGKILL)
    wait_until(lambda: not record.alive, 10, every=0.02)


def _reap(pid: int) -> None:
    """Collect the process if it is a dead child of this one."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _start_time(pid: int) -> str | None:
    """The boot and the clock tick in which the process started; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":  # it has ended, and its parent has not noticed yet
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{fields[18]}"
