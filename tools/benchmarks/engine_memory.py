"""The most memory that Pulumi's engine and the program had while a command ran."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from tools.benchmarks.busy import descendants, read_processes

EVERY = 0.5  # seconds
ENGINE, PROGRAM = "the engine", "the program"


class EngineMemory:
    """Watches what a process started; `highest` has MiB by `ENGINE` and `PROGRAM`.

    After `wait`, `ended` is when it ended, by time.monotonic().
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.highest = {ENGINE: 0.0, PROGRAM: 0.0}
        self._process = process
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def wait(self) -> str:
        """What the process printed. Raises AssertionError if it failed."""
        printed, _ = self._process.communicate()
        self.ended = time.monotonic()
        self._watching.join()
        if self._process.returncode:
            raise AssertionError(printed)
        return printed

    def _watch(self) -> None:
        ended = threading.Event()
        while self._process.poll() is None:
            for number in descendants(read_processes(), [self._process.pid]):
                kind, used = _look(Path("/proc") / str(number))
                if kind:
                    self.highest[kind] = max(self.highest[kind], used)
            ended.wait(EVERY)


def _look(process: Path) -> tuple[str, float]:
    """Which of both a process is, and the most MiB that it had; nothing for others."""
    try:
        command = (process / "cmdline").read_bytes().split(b"\0")
        status = (process / "status").read_text("utf-8")
    except OSError:  # it has ended
        return "", 0.0
    names = {Path(part.decode(errors="replace")).name for part in command[:4]}
    kind = PROGRAM if "program.py" in names else ENGINE if "pulumi" in names else ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return kind, int(line.split()[1]) / 1024
    return "", 0.0
