"""What happened to the backups last; on the data disk, for `status`."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from durable import write

from backup.places import DataPlaces


@dataclass(frozen=True)
class BackupState:
    """Times in seconds since 1970; 0 is never. An empty problem means that it went well.

    Attributes:
        since: when backups were set up on this data disk.
        saved: when the last backup that is complete was started.
        seconds: how long it took.
        size: bytes that it restores.
        problem: why the last attempt failed.
        checked: when a check last succeeded.
        check_problem: why the last check failed.
    """

    since: float = 0
    saved: float = 0
    seconds: float = 0
    size: int = 0
    problem: str = ""
    checked: float = 0
    check_problem: str = ""

    @classmethod
    def read(cls, places: DataPlaces) -> BackupState:
        try:
            return cls(**json.loads((places.home / "state.json").read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self, places: DataPlaces) -> None:
        write(places.home / "state.json", json.dumps(asdict(self), indent=2))


def change(places: DataPlaces, **values: Any) -> BackupState:
    """The state with these values; it is written."""
    state = dataclasses.replace(BackupState.read(places), **values)
    if not state.since:
        state = dataclasses.replace(state, since=time.time())
    state.write(places)
    return state


def status(places: DataPlaces) -> dict[str, Any] | None:
    """What `status` shows; None if the settings have no backups."""
    if not places.settings.exists():
        return None
    return asdict(BackupState.read(places))
