"""The process that carries operations out, one for each emulated Azure.

It is started with an operation, outlives the process that started it, and ends when nothing is left
to do. A lock file shows whether one runs. The worker releases it only while it holds the state's
lock, so it cannot miss an operation.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from emulator.azure.errors import AzureError
from emulator.azure.fabric import Fabric, FabricError, NullFabric, PowerAction, Report
from emulator.azure.faults import Faults
from emulator.azure.kinds import now
from emulator.azure.names import MACHINE, ResourceId
from emulator.azure.power import ACTIONS, RUNNING, power_state, set_power_state
from emulator.azure.providers import KINDS
from emulator.azure.store import Body, LongRunningOperation, Store, StoredState
from emulator.instance import PROJECT, Instance, in_plan_mode

RESUME = "resume"
"""The operation that creates everything again; it belongs to no resource."""


def ensure(instance: Instance, folder: Path) -> None:
    """Start a worker unless one runs. Call this after starting an operation, and while waiting."""
    with (folder / "worker.lock").open("a") as lock:
        if not _try_lock(lock):
            return
        fcntl.flock(lock, fcntl.LOCK_UN)
    log = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.Popen(
            [sys.executable, "-m", "emulator.azure.worker", str(instance.home)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def error_record(error: AzureError) -> dict[str, Any]:
    """The error in the form that an operation stores."""
    return {
        "code": error.code,
        "message": error.message,
        "status": error.status,
        "target": error.target,
    }


class Worker:
    """Carries out pending operations, oldest first; a slow one does not block the others."""

    def __init__(self, folder: Path, fabric: Fabric) -> None:
        self._store = Store(folder)
        self._faults = Faults(folder)
        self._fabric = fabric

    def run(self, lock: IO[str]) -> None:
        """Work until nothing is pending, then release the lock."""
        while True:
            with self._store.change() as state:
                if not state.pending():
                    fcntl.flock(lock, fcntl.LOCK_UN)
                    return
            operation = self._next()
            if operation is None:
                time.sleep(0.1)  # every pending operation is slow on request
            else:
                self._carry_out(operation)

    def _next(self) -> LongRunningOperation | None:
        faults = {fault.id for fault in self._faults.read()}
        pending = self._store.read().pending()
        for operation in pending:
            waits = operation.fault in faults and operation.not_before > time.time()
            inside = any(each.resource.startswith(f"{operation.resource}/") for each in pending)
            if not waits and not inside:
                return operation
        return None

    def _carry_out(self, operation: LongRunningOperation) -> None:
        error = operation.error
        if error is None:
            try:
                self._act(operation)
            except FabricError as failure:
                error = error_record(AzureError(failure.code, failure.message))
            except Exception as failure:  # a bug of ours must not leave callers waiting
                traceback.print_exc()
                error = error_record(AzureError("InternalExecutionError", repr(failure)))
        with self._store.change() as state:
            finish(state, state.operations[operation.resource], error)

    def _act(self, operation: LongRunningOperation) -> None:
        def report(line: str) -> None:
            with self._store.change() as state:
                state.operations[operation.resource].message = line

        state = self._store.read()
        if operation.kind in ACTIONS:
            self._fabric.power(operation.resource, operation.kind, report)  # type: ignore[arg-type]
        else:
            self._fabric.reconcile(resources_after(state, operation), report)


def resources_after(state: StoredState, operation: LongRunningOperation) -> Mapping[str, Body]:
    """The resources on the host once `operation` is done, without those of later operations."""
    later = {each.resource for each in state.pending() if each.id != operation.id}
    resources = {
        key: body
        for key, body in state.resources.items()
        if not (key in later and body["properties"]["provisioningState"] == "Creating")
    }
    if operation.kind == "delete":
        gone = StoredState(resources)
        _remove(gone, operation.resource)
        resources = gone.resources
    return {key: _with_subnets(resources, key, body) for key, body in resources.items()}


def _with_subnets(resources: dict[str, Body], key: str, body: Body) -> Body:
    subnets = [each for other, each in resources.items() if other.startswith(f"{key}/subnets/")]
    if not subnets:
        return body
    return {**body, "properties": {**body["properties"], "subnets": subnets}}


def _remove(state: StoredState, key: str) -> None:
    body = state.resources.pop(key)
    KINDS[body["type"]].after_deletion(state, ResourceId.parse(body["id"]), body)


def finish(
    state: StoredState, operation: LongRunningOperation, error: dict[str, Any] | None = None
) -> None:
    """Record that an operation has ended, and its effect on the state."""
    operation.status = "Failed" if error else "Succeeded"
    operation.error = error
    operation.ended = now()
    if operation.kind == RESUME:
        return
    body = state.resources[operation.resource]
    if error is not None:
        body["properties"]["provisioningState"] = "Failed"
        return
    if operation.kind == "delete":
        _remove(state, operation.resource)
        return
    body["properties"]["provisioningState"] = "Succeeded"
    if operation.kind in ACTIONS:
        set_power_state(body, ACTIONS[operation.kind][0])
    elif body["type"] == MACHINE and power_state(body) != RUNNING:
        set_power_state(body, RUNNING)


@contextmanager
def _only_one(folder: Path) -> Iterator[IO[str] | None]:
    with (folder / "worker.lock").open("a") as lock:
        yield lock if _try_lock(lock) else None


class _NoFabric:
    """Fails every operation with the reason why there is no fabric."""

    def __init__(self, reason: Exception) -> None:
        self._error = FabricError("InternalExecutionError", f"the emulator cannot work: {reason!r}")

    def reconcile(self, resources: Mapping[str, Mapping[str, Any]], report: Report) -> None:
        raise self._error

    def power(self, vm_id: str, action: PowerAction, report: Report) -> None:
        raise self._error


def _fabric(instance: Instance) -> Fabric:
    if in_plan_mode():
        return NullFabric()
    try:
        from emulator.host.fabric import HostFabric  # noqa: PLC0415 -- plan mode does without it

        return HostFabric(instance)
    except Exception as reason:
        return _NoFabric(reason)


def main(home: str) -> None:
    """Run the worker of the instance at `home`, unless one runs already."""
    instance = Instance.open(Path(home))
    folder = instance.home / "azure"
    with _only_one(folder) as lock:
        if lock is not None:
            Worker(folder, _fabric(instance)).run(lock)


if __name__ == "__main__":
    main(sys.argv[1])
