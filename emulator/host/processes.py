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
from emulator.host.commands import lacking, wait_until
from emulator.host.places import Places, replace_text
from emulator.instance import PROJECT


@dataclass(frozen=True)
class _Record:
    """A started helper. `started` guards against another process that got the same pid."""

    pid: int
    started: str | None
    args: list[str]

    @property
    def alive(self) -> bool:
        _reap(self.pid)
        return self.started is not None and _started(self.pid) == self.started


MARK = "OLLAMAZURE_HELPER_OF"
"""In every helper's environment, with the instance's id: how removal's check finds strays."""


class Processes:
    """The instance's long-running helpers, by name."""

    def __init__(self, places: Places) -> None:
        self._folder = places.state / "processes"
        self._environment = os.environ | {MARK: places.instance.id}

    def ensure(self, name: str, args: Sequence[str], ready: Callable[[], bool]) -> None:
        """Have the helper run with these arguments and be ready. Raises FabricError."""
        record = self._read(name)
        if record and record.alive and record.args == list(args):
            return
        self.stop(name)
        self._start(name, list(args))
        if wait_until(lambda: ready() or not self.alive(name), 30) and self.alive(name):
            return
        said = self.log(name).read_text()[-600:].strip()
        raise FabricError(
            "InternalExecutionError",
            f"The emulator's helper {name} did not start on this host: {said or 'it said nothing'}",
        )

    def alive(self, name: str) -> bool:
        record = self._read(name)
        return record is not None and record.alive

    def names(self) -> list[str]:
        return sorted(file.stem for file in self._folder.glob("*.json"))

    def stop(self, name: str) -> None:
        """End the helper if it is still ours, wait until it has gone, and forget it."""
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
                raise lacking(args[0]) from missing
        record = _Record(process.pid, _started(process.pid), args)
        replace_text(self._folder / f"{name}.json", json.dumps(asdict(record)))

    def _read(self, name: str) -> _Record | None:
        file = self._folder / f"{name}.json"
        return _Record(**json.loads(file.read_text())) if file.exists() else None


def _end(record: _Record) -> None:
    """Helpers keep nothing, and slirp4netns does not listen to anything gentler."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(record.pid, signal.SIGKILL)
    wait_until(lambda: not record.alive, 10, every=0.02)


def _reap(pid: int) -> None:
    """Collect it if it is a dead child of this process."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _started(pid: int) -> str | None:
    """When the process started, in clock ticks of this boot of the host; None when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":  # ended; its parent has yet to notice
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{fields[18]}"
