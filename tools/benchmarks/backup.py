"""How fast a chat is saved and restored, with restic and a repository on this disk.

    PYTHONPATH=guest/usr/local/lib/ollamazure .venv/bin/python -m tools.benchmarks.backup [MIB]

It makes a database and uploads of MIB MiB each (default 256) in a temporary folder, and measures
the first backup, the next one, and the restore with its verification.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from backup import restore
from backup.places import DataPlaces
from backup.repository import ResticRepository
from backup.stage import stage

MIB = 2**20


def main(size: int) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        places = DataPlaces(Path(folder))
        make_chat(places, size)
        repository = ResticRepository(places)
        repository.open()
        first = seconds(lambda: save(places, repository))
        again = seconds(lambda: save(places, repository))
        back = seconds(lambda: bring_back(places, repository))
        used = subprocess.check_output(["du", "-sm", places.home / "repository"], text=True)
    print("| | seconds | MiB a second |\n|---|---|---|")
    for name, taken in (("first backup", first), ("next backup", again), ("restore", back)):
        print(f"| {name} | {taken:.0f} | {2 * size / taken:.0f} |")
    print(
        f"\nOf {2 * size} MiB, of which half compresses; the repository has {used.split()[0]} MiB."
    )


def make_chat(places: DataPlaces, size: int) -> None:
    """A database with text that compresses, and uploads that do not."""
    (places.volume / "uploads").mkdir(parents=True)
    for number in range(size // 4):
        (places.volume / f"uploads/{number}").write_bytes(os.urandom(4 * MIB))
    with sqlite3.connect(places.volume / "webui.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE chat (text TEXT)")
        for number in range(size):
            text = f"question {number} {os.urandom(MIB // 8).hex()}" * 4
            database.execute("INSERT INTO chat VALUES (?)", [text[:MIB]])
    places.settings.parent.mkdir(parents=True)
    repository = places.home / "repository"
    keep = '{"daily": 7, "weekly": 5, "monthly": 12}'
    places.settings.write_text(
        f'{{"repository": "{repository}", "environment": {{}}, "keep": {keep}}}'
    )
    places.key.write_text("a key")
    places.home.mkdir()


def save(places: DataPlaces, repository: ResticRepository) -> None:
    stage(places)
    repository.save(places.staging)
    shutil.rmtree(places.staging)


def bring_back(places: DataPlaces, repository: ResticRepository) -> None:
    scratch = restore.fetch(places, repository, repository.snapshots()[-1])
    restore.verify(places, scratch)


def seconds(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
