"""The weekly check: the repository can be read, and what is restored is what was saved."""

from __future__ import annotations

import contextlib
import filecmp
import random
import shutil
import sqlite3
from pathlib import Path

from backup.errors import BackupError
from backup.places import DataPlaces, say
from backup.repository import ResticRepository
from backup.stage import DATABASE, MANIFEST, UPLOADS, VECTOR_DATABASE, VECTORS

READ_PERCENT = 10
SAMPLE = 20  # uploads


def check(places: DataPlaces, repository: ResticRepository, snapshot: str) -> None:
    """Reads a part of the repository and restores a part of the snapshot of `staging`.

    Raises:
        BackupError: something cannot be read, or differs.
    """
    say(f"Reading {READ_PERCENT} % of the repository.")
    repository.check(READ_PERCENT)
    scratch = places.home / "check"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        compare(places.staging, scratch, repository, snapshot)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def compare(saved: Path, scratch: Path, repository: ResticRepository, snapshot: str) -> None:
    """Restores the databases and some uploads, and compares each with what was saved."""
    files = sorted(path for path in (saved / UPLOADS).rglob("*") if path.is_file())
    chosen = random.sample(files, min(SAMPLE, len(files)))  # no secret depends on it
    databases = [MANIFEST, DATABASE, f"{VECTORS}/{VECTOR_DATABASE}"]
    names = [name for name in databases if (saved / name).exists()]
    names += [str(path.relative_to(saved)) for path in chosen]
    say(f"Restoring the database and {len(chosen)} of {len(files)} uploads, to compare them.")
    repository.restore(snapshot, scratch, [f"/{name}" for name in names])
    for name in names:
        if not (scratch / name).exists():
            raise BackupError(f"{name} is missing in what was restored.")
        if not filecmp.cmp(saved / name, scratch / name, shallow=False):
            raise BackupError(f"{name} differs in what was restored.")
    for name in (DATABASE, f"{VECTORS}/{VECTOR_DATABASE}"):
        require_integrity(scratch / name)


def require_integrity(database: Path) -> None:
    """Refuses a damaged SQLite database; one that does not exist is fine."""
    if not database.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            [first, *_] = opened.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{database.name} cannot be read: {error}.") from error
    if first != "ok":
        raise BackupError(f"{database.name} is damaged: {first}")
