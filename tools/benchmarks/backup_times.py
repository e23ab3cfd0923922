"""Saves and restores a chat with restic, and the same files with tar; it prints seconds as JSON.

    PYTHONPATH=guest/usr/local/lib/ollamazure .venv/bin/python -m tools.benchmarks.backup_times MIB

It makes a database and uploads of MIB MiB each in a temporary folder. backup.py runs it, because
the machine's tools import each other from that path.
"""

from __future__ import annotations

import json
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
        archive, copy = Path(folder) / "archive.tar", Path(folder) / "copy"
        copy.mkdir()
        taken = {
            "first backup": seconds(lambda: save(places, repository)),
            "tar": seconds(lambda: pack(places, archive)),
            "next backup": seconds(lambda: save(places, repository)),
            "restore": seconds(lambda: bring_back(places, repository)),
            "untar": seconds(lambda: unpack(archive, copy)),
        }
    print(json.dumps(taken))


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


def pack(places: DataPlaces, archive: Path) -> None:
    """The same files in an archive that is on the disk."""
    subprocess.run(["tar", "-cf", archive, "-C", places.volume, "."], check=True)
    subprocess.run(["sync", archive], check=True)


def unpack(archive: Path, folder: Path) -> None:
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    subprocess.run(["sync", "--file-system", folder], check=True)


def seconds(work: Callable[[], None]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


if __name__ == "__main__":
    main(int(sys.argv[1]))
