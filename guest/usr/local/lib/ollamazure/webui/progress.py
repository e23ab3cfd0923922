"""Progress of work that takes long on a slow disk, measured from what is there already."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 15  # seconds


@contextmanager
def progress(
    what: str, total: int, done: Callable[[], int], say: Callable[[str], None]
) -> Iterator[None]:
    """Prints every 15 seconds how much is done, until the block ends.

    Args:
        what: such as "Copying the data".
        total: bytes.
        done: counts the bytes that are done.
        say: prints a line.
    """
    ended = threading.Event()

    def report() -> None:
        rate = Rate()
        while not ended.wait(EVERY):
            with contextlib.suppress(OSError):  # such as a file that was removed meanwhile
                say(f"  {what}: {rate.line(done(), total)}")

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Rate:
    """How much is done, and how fast it was since the line before."""

    def __init__(self) -> None:
        self._bytes, self._time = 0, time.monotonic()

    def line(self, done: int, total: int) -> str:
        now = time.monotonic()
        rate = (done - self._bytes) / 1e6 / max(now - self._time, 0.001)
        self._bytes, self._time = done, now
        percent = f" ({min(100, 100 * done // total)} %)" if total else ""
        return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB{percent}, {rate:.1f} MB/s"


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder that may be changing."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total
