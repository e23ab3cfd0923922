"""The folder that restic saves: a copy of the chat's data at one moment, while people chat.

The databases are copied by SQLite's own interface. Uploads never change after they were written, so
links to them are enough. They are linked before and after the database is copied: a file that is
added or deleted meanwhile is in the copy if the database names it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drift import declared_image
from webui.progress import progress, size_of

from backup.errors import BackupError
from backup.places import DataPlaces, say

DATABASE = "webui.db"
VECTORS = "vector_db"
UPLOADS = "uploads"
VECTOR_DATABASE = "chroma.sqlite3"
MANIFEST = "manifest.json"
LEAST_FREE = 0.05  # of the data disk stays free: a backup must not stop the chat
ATTEMPTS, PAUSE_SECONDS = 10, 30


def stage(places: DataPlaces, *, first: bool = False) -> dict[str, Any]:
    """Fills the folder `staging`; returns the manifest that is in it.

    Args:
        places: the machine's files.
        first: whether the repository is on the same disk and has no backup yet.

    Raises:
        BackupError: there is no chat, or not enough space.
    """
    if not (places.volume / DATABASE).exists():
        raise BackupError("Open WebUI has no database yet, so there is nothing to save.")
    refuse_during_upgrade(places)
    require_space(places, first=first)
    shutil.rmtree(places.staging, ignore_errors=True)
    places.staging.mkdir(mode=0o700, parents=True)
    link_uploads(places)
    copy_database(places.volume / DATABASE, places.staging / DATABASE)
    link_uploads(places)
    copy_vectors(places.volume / VECTORS, places.staging / VECTORS)
    for folder in (places.webui, places.acme, places.declared):
        if folder.exists():
            shutil.copytree(
                folder, places.staging / folder.name, symlinks=True, ignore=without_upgrade(places)
            )
    refuse_during_upgrade(places)  # again: the copies may have parts of both versions
    return write_manifest(places)


def refuse_during_upgrade(places: DataPlaces) -> None:
    """Raises BackupError while the data change from one version of Open WebUI to another."""
    if places.upgrade_journal.exists():
        raise BackupError(
            "Open WebUI is being upgraded. `pulumi up` ends an upgrade that was cut off."
        )


def without_upgrade(places: DataPlaces) -> Callable[[str, list[str]], list[str]]:
    """What `copytree` leaves out: the data before the last upgrade, which are large."""
    upgrade = places.upgrade_journal.parent

    def ignored(folder: str, _: list[str]) -> list[str]:
        return [upgrade.name] if Path(folder) == upgrade.parent else []

    return ignored


def require_space(places: DataPlaces, *, first: bool) -> None:
    """Refuses a backup that would fill the data disk."""
    copies = size_of(places.volume / VECTORS) + (places.volume / DATABASE).stat().st_size
    new = size_of(places.volume / UPLOADS) if first else 0
    usage = shutil.disk_usage(places.disk)
    needed = 2 * copies + new + int(LEAST_FREE * usage.total)
    if usage.free < needed:
        raise BackupError(
            f"the data disk has {in_mib(usage.free)} free, and a backup needs up to"
            f" {in_mib(needed)}. ollamazure:dataDiskGiB enlarges it."
        )


def link_uploads(places: DataPlaces) -> None:
    """Adds a link to each upload that has none yet."""
    source, target = places.volume / UPLOADS, places.staging / UPLOADS
    target.mkdir(exist_ok=True)
    for folder, _, names in os.walk(source):
        into = target / Path(folder).relative_to(source)
        into.mkdir(exist_ok=True)
        for name in names:
            # A link from before is enough, and so is no file: its owner has deleted it.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(Path(folder) / name, into / name)


def copy_database(source: Path, target: Path) -> None:
    """A copy at one moment. In WAL mode, which Open WebUI uses, it makes no writer wait."""
    say(f"Copying {source.name} ({in_mib(source.stat().st_size)}).")
    size = source.stat().st_size
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as live,
        contextlib.closing(sqlite3.connect(target)) as copy,
        progress(f"Copying {source.name}", size, lambda: target.stat().st_size, say),
    ):
        live.backup(copy)
        # One file is the whole copy: no journal beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
    target.chmod(0o600)


def copy_vectors(source: Path, target: Path) -> None:
    """Copies Chroma's database and its index files, which it writes from time to time.

    Raises:
        BackupError: it wrote them during each attempt.
    """
    if not (source / VECTOR_DATABASE).exists():
        return
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE_SECONDS if attempt else 0)
        shutil.rmtree(target, ignore_errors=True)
        before = index_files(source)
        target.mkdir()
        copy_database(source / VECTOR_DATABASE, target / VECTOR_DATABASE)
        with contextlib.suppress(FileNotFoundError):
            for name in before:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, target / name)
        if index_files(source) == before:
            return
        say("Documents are being embedded; copying their index again.")
    raise BackupError("documents were being embedded during the whole backup; it is tried again.")


def index_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file in the folder, without those of the database."""
    found = {}
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            if path.is_file() and not path.name.startswith(VECTOR_DATABASE):
                found[str(path.relative_to(folder))] = (stat.st_size, stat.st_mtime_ns)
    return found


def write_manifest(places: DataPlaces) -> dict[str, Any]:
    manifest = {
        "webui": webui_version(places),
        "database": sha256_of(places.staging / DATABASE),
        **counts(places.staging / DATABASE),
    }
    (places.staging / MANIFEST).write_text(json.dumps(manifest, indent=2))
    return manifest


def webui_version(places: DataPlaces) -> str | None:
    """The version in the image's name: `0.12.4`; None if there is none."""
    found = re.search(r":v?(\d+\.\d+\.\d+)", declared_image(places.unit))
    return found and found[1]


def counts(database: Path) -> dict[str, int]:
    """How many accounts, chats and files a database has, as far as it has these tables."""
    found = {}
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as copy:
        for name, table in (("accounts", "user"), ("chats", "chat"), ("files", "file")):
            with contextlib.suppress(sqlite3.OperationalError):
                [found[name]] = copy.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608
    return found


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def in_mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
