"""Waits for Open WebUI, which may work on its database for hours after an upgrade."""

from __future__ import annotations

import contextlib
import math
import re
import time
from typing import Any

from webui.client import WebuiSession
from webui.errors import WebuiError
from webui.service import UNIT, find_volume, output_of, say, show_status

WINDOW = 60  # seconds
BUSY = 0.02  # of a processor, on the average of a window; an idle Open WebUI uses less
IDLE_WINDOWS = 5
REPORT_EVERY = 15  # seconds
MIGRATION = re.compile(r"Running upgrade \w* -> \w+, (.+)")


def wait_until_ready() -> None:
    """Waits for Open WebUI, however long it works on its database.

    Raises:
        WebuiError: its process ended, or has done nothing for minutes.
    """
    watch = Watch()
    while not is_ready():
        watch.look()
        time.sleep(1)


def is_ready() -> bool:
    try:
        WebuiSession().send("GET", "/ready", patience=0)
    except WebuiError:
        return False
    return True


class Watch:
    """What Open WebUI does until it is ready, for progress and to tell work from a hang."""

    def __init__(self) -> None:
        self._volume = find_volume()
        self._begun = self._window = self._reported = time.monotonic()
        self._since = int(time.time())
        facts = self._facts()
        # systemd may have started it again before, for another reason.
        self._restarts, self._cpu = facts["restarts"], facts["cpu"]
        self._files, self._idle = self._state_of_files(), 0

    def look(self) -> None:
        """Reports progress. Raises WebuiError if there can be none any more."""
        facts, now = self._facts(), time.monotonic()
        if facts["ended"] or facts["restarts"] != self._restarts:
            raise WebuiError("its process ended.")
        if now - self._window >= WINDOW:
            self._close_window(facts["cpu"], now)
        if now - self._reported >= REPORT_EVERY:
            self._reported = now
            self._report(facts["cpu"], now)

    def _close_window(self, cpu: float, now: float) -> None:
        files = self._state_of_files()
        # Without a known processor time, a hang looks like work.
        idle = files == self._files and cpu - self._cpu < BUSY * (now - self._window)
        self._idle = self._idle + 1 if idle else 0
        if self._idle >= IDLE_WINDOWS:
            raise WebuiError(
                f"for {IDLE_WINDOWS * WINDOW / 60:.0f} minutes it has used no processor and written"
                " nothing."
            )
        self._window, self._cpu, self._files = now, cpu, files

    def _report(self, cpu: float, now: float) -> None:
        seconds = int(now - self._begun)
        size = sum(size for _, size, _ in self._state_of_files())
        say(
            f"  Open WebUI has worked for {seconds} s ({cpu:.0f} s of a processor); its database"
            f" has {size / 1e6:.0f} MB.{self._migration()}"
        )
        show_status(f"Open WebUI is starting and works on its database, for {seconds} s so far.")

    def _migration(self) -> str:
        """The step that Open WebUI logged last."""
        steps = MIGRATION.findall(journal_since(self._since))
        return f" It is at: {steps[-1][:80]}." if steps else ""

    def _state_of_files(self) -> list[tuple[str, int, int]]:
        found = []
        for path in sorted(self._volume.glob("webui.db*")) if self._volume else ():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((path.name, status.st_size, status.st_mtime_ns))
        return found

    @staticmethod
    def _facts() -> dict[str, Any]:
        shown = output_of(
            ["systemctl", "show", "--property=ActiveState,NRestarts,CPUUsageNSec", UNIT]
        )
        values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        used = values.get("CPUUsageNSec", "")
        return {
            "ended": values.get("ActiveState") in ("failed", "inactive"),
            # systemd starts it again when it fails.
            "restarts": values.get("NRestarts", "0"),
            "cpu": int(used) / 1e9 if used.isdigit() and len(used) < 20 else math.nan,
        }


def journal_since(when: int) -> str:
    return output_of(
        ["journalctl", "--no-pager", "--output", "cat", "--unit", UNIT, "--since", f"@{when}"]
    )
