"""Azure's state: one JSON file, changed under a lock and replaced in one step."""

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
_MOST_FORMER = 200
_DETAILS = ("creates", "started", "ended")
"""What earlier versions do not know of an operation; the file has it apart, where they skip it."""

_PRIVATE = 0o600
"""The state contains customData, and customData contains a host key."""


@dataclass
class LongRunningOperation:
    """One asynchronous PUT or DELETE, as a poller sees it.

    `status` is ARM's: InProgress, Succeeded or Failed. `not_before` is the time (seconds since
    the epoch) before which a slow one may not end, `fault` the id of the fault that slows it down.
    `creates` is whether a PUT met no resource. `started` and `ended` are ARM's times.
    """

    id: str
    kind: str
    resource: str
    status: str = "InProgress"
    message: str = ""
    not_before: float = 0.0
    fault: str = ""
    error: dict[str, Any] | None = None
    creates: bool = False
    started: str = ""
    ended: str = ""

    def raise_error(self) -> None:
        """Raise the operation's error if it has failed."""
        if self.error is not None:
            raise AzureError(**self.error)


@dataclass
class StoredState:
    """All resources and operations. Keys are lower-cased ARM ids; bodies include what a GET hides.

    `operations` has the newest operation of each resource, `former` the ones before, oldest first,
    for callers that still wait. `unregistered` are the lower-cased namespaces of the resource
    providers that the subscription has given up. `deleted` has the key vaults that can be recovered
    (`vaults.py`), by their keys. `boot` is the id of the host's boot in which the
    host last matched the state.
    """

    resources: dict[str, Body] = field(default_factory=dict)
    operations: dict[str, LongRunningOperation] = field(default_factory=dict)
    boot: str = ""
    former: list[LongRunningOperation] = field(default_factory=list)
    unregistered: list[str] = field(default_factory=list)
    deleted: dict[str, Body] = field(default_factory=dict)

    def of_type(self, type_: str) -> Iterator[tuple[str, Body]]:
        """Resources of one type, oldest first."""
        for key, body in self.resources.items():
            if body["type"].lower() == type_.lower():
                yield key, body

    def begin(self, operation: LongRunningOperation) -> None:
        """Make this the newest operation of its resource."""
        if previous := self.operations.get(operation.resource):
            self.former = [*self.former, previous][-_MOST_FORMER:]
        self.operations[operation.resource] = operation

    def find_operation(self, id_: str | None) -> LongRunningOperation | None:
        """The operation of that id, or None when it is not known any more."""
        for each in (*self.operations.values(), *self.former):
            if each.id == id_:
                return each
        return None

    def pending(self) -> list[LongRunningOperation]:
        """The operations that have not ended, oldest first."""
        return [each for each in self.operations.values() if each.status == "InProgress"]


class Store:
    """The state file of one emulated Azure, shared by any number of processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / "state.json"
        self._lock = folder / "state.lock"

    def read(self) -> StoredState:
        """The current state. This needs no lock, because the file is replaced in one step."""
        try:
            saved = json.loads(self._file.read_text())
        except FileNotFoundError:
            return StoredState()
        details = saved.pop("details", {})

        def operation(stored: Body) -> LongRunningOperation:
            return LongRunningOperation(**stored, **details.get(stored["id"], {}))

        return StoredState(
            **{
                **saved,
                "operations": {key: operation(each) for key, each in saved["operations"].items()},
                "former": [operation(each) for each in saved.get("former", [])],
            }
        )

    @contextmanager
    def change(self) -> Iterator[StoredState]:
        """Change the state, alone among all processes. An exception leaves it unchanged."""
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            yield state
            self._replace(state)

    def _replace(self, state: StoredState) -> None:
        fresh = self._file.with_suffix(".new")
        with os.fdopen(os.open(fresh, _CREATE, _PRIVATE), "w") as file:
            json.dump(_stored(state), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)


def _stored(state: StoredState) -> Body:
    """The state as the file has it, which earlier versions of the emulator read as well."""
    saved = asdict(state)
    operations = (*saved["operations"].values(), *saved["former"])
    saved["details"] = {
        each["id"]: {name: each.pop(name) for name in _DETAILS} for each in operations
    }
    return saved
