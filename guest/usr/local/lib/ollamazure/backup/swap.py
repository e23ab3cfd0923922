"""Puts restored data in the place of the present data, by renames that a power cut cannot spoil.

A journal names the folder that the data comes from and the folder for the present data. Each rename
happens once, however often it is tried, so the one who finds the journal goes on from there:
Open WebUI's unit does before it starts (guest/etc/containers/systemd/open-webui.container.j2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from durable import sync_disk, write

from backup.places import DataPlaces
from backup.stage import DATABASE, UPLOADS, VECTORS

# They belong to one state of the database, so they go with it and come from nowhere.
JOURNALS = (f"{DATABASE}-wal", f"{DATABASE}-shm")


def swap(places: DataPlaces, source: Path, aside: Path) -> None:
    """Moves the present data to `aside` and that of `source` to its place."""
    for name in (UPLOADS, VECTORS):
        (source / name).mkdir(exist_ok=True)
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_disk(source)  # restic does not: a file could be empty after a power cut
    write(journal(places), json.dumps([str(source), str(aside)]))
    resume(places)


def resume(places: DataPlaces) -> None:
    """Ends a swap that was cut off; without one it does nothing."""
    if not journal(places).exists():
        return
    source, aside = map(Path, json.loads(journal(places).read_text()))
    if (source / DATABASE).exists():
        for name in JOURNALS:
            if (places.volume / name).exists():
                (places.volume / name).rename(aside / name)
    for name, live in parts(places):
        if (source / name).exists():
            if live.exists() and not (aside / name).exists():
                live.rename(aside / name)
            (source / name).rename(live)
    for name in JOURNALS:
        if (source / name).exists():
            (source / name).rename(places.volume / name)
    journal(places).unlink()


def parts(places: DataPlaces) -> Iterator[tuple[str, Path]]:
    """What is exchanged, by its name in a backup."""
    for name in (UPLOADS, VECTORS, DATABASE):
        yield name, places.volume / name
    yield places.webui.name, places.webui


def journal(places: DataPlaces) -> Path:
    return places.home / "swap.json"
