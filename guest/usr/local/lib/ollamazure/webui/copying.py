"""Copies of Open WebUI's data, and how large they are.

Open WebUI writes an uploaded file once, under a new name (routers/files.py, storage/provider.py),
so a hard link keeps it. All else is copied, SQLite's databases through its backup interface.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from stat import S_ISDIR

# The audit log goes on whatever version runs, and the cache is made again.
STAYS = ("audit", "cache")
# A file of another name, such as a model that an administrator uploads, can be written again.
UPLOADED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}_")
BLOCK = 512  # bytes, of st_blocks
SQLITE = b"SQLite format 3\0"
PARTS_OF_SQLITE = ("-wal", "-shm", "-journal")


def copy_entry(source: Path, target: Path, *, uploads: bool = False) -> None:
    """Copies a file or a folder, with owner and mode."""
    if source.is_symlink():
        target.symlink_to(source.readlink())
        return
    if source.is_dir():
        target.mkdir()
        for entry in sorted(source.iterdir()):
            copy_entry(entry, target / entry.name, uploads=uploads)
    elif uploads and UPLOADED.match(source.name):
        target.hardlink_to(source)
        return
    elif is_part_of_sqlite(source):
        return
    elif is_sqlite(source):
        copy_database(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
    else:  # a socket or a pipe
        return
    status = source.stat()
    os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)


def copy_database(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(source, timeout=60)) as former,
        closing(sqlite3.connect(target)) as copied,
    ):
        former.backup(copied)


def sizes_of(volume: Path) -> tuple[int, int]:
    """Bytes on the disk that a copy of the volume takes, and those that links save."""
    copied = linked = 0
    for path in volume.rglob("*"):
        top, *below = path.relative_to(volume).parts
        size = path.lstat().st_blocks * BLOCK
        if top == "uploads" and below and UPLOADED.match(path.name):
            linked += size
        elif top not in STAYS:
            copied += size
    return copied, linked


def freed_by_removing(folder: Path) -> int:
    """Bytes on the disk that only this folder has."""
    found = [path.lstat() for path in folder.rglob("*")]
    return sum(one.st_blocks * BLOCK for one in found if one.st_nlink == 1 or S_ISDIR(one.st_mode))


def size_of_database(volume: Path) -> int:
    return sum(path.stat().st_size for path in volume.glob("webui.db*"))


def is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def is_part_of_sqlite(path: Path) -> bool:
    """Whether the file belongs to a database beside it, whose copy is complete without it."""
    for end in PARTS_OF_SQLITE:
        main = path.with_name(path.name.removesuffix(end))
        if path.name.endswith(end) and main.is_file() and is_sqlite(main):
            return True
    return False


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
