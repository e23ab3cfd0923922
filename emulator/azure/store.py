"""Azure's memory: one JSON file, read and written under a lock, replaced in one step."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from emulator.azure.errors import AzureError

Body = dict[str, Any]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_PRIVATE = 0o600
"""The state holds customData, and that holds a host key."""


@dataclass
class LongRunningOperation:
    """One asynchronous PUT or DELETE, as a poller sees it.

    `status` is ARM's: InProgress, Succeeded or Failed. `not_before` is the time (seconds since
    the epoch) before which a slow one may not end, `fault` the fault that made it slow or lets it
    fail. Only the newest operation of a resource is kept.
    """

    id: str
    kind: str
    resource: str
    status: str = "InProgress"
    message: str = ""
    not_before: float = 0.0
    fault: str = ""
    error: dict[str, Any] | None = None

    def raise_error(self) -> None:
        """Raise the AzureError that it failed with, if it did."""
        if self.error is not None:
            raise AzureError(**self.error)


@dataclass
class StoredState:
    """All that exists. Keys are lower-cased ARM ids; bodies hold what a GET would hide, too.

    `boot` is the boot of this host in which it was last made so.
    """

    resources: dict[str, Body] = field(default_factory=dict)
    operations: dict[str, LongRunningOperation] = field(default_factory=dict)
    boot: str = ""

    def of_type(self, type_: str) -> Iterator[tuple[str, Body]]:
        """Resources of one type, oldest first."""
        for key, body in self.resources.items():
            if body["type"].lower() == type_.lower():
                yield key, body

    def pending(self) -> list[LongRunningOperation]:
        """Operations not ended, oldest first."""
        return [each for each in self.operations.values() if each.status == "InProgress"]


class Store:
    """The state file of one emulated Azure, shared by any number of processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / "state.json"
        self._lock = folder / "state.lock"

    def read(self) -> StoredState:
        """The state as it is now; no lock needed, since the file changes in one step."""
        try:
            saved = json.loads(self._file.read_text())
        except FileNotFoundError:
            return StoredState()
        operations = {
            key: LongRunningOperation(**each) for key, each in saved["operations"].items()
        }
        return StoredState(saved["resources"], operations, saved.get("boot", ""))

    @contextmanager
    def change(self) -> Iterator[StoredState]:
        """Change the state: nobody else does meanwhile, and an exception changes nothing."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            yield state
            self._replace(state)

    def _replace(self, state: StoredState) -> None:
        fresh = self._file.with_suffix(".new")
        with os.fdopen(os.open(fresh, _CREATE, _PRIVATE), "w") as file:
            json.dump(asdict(state), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)
