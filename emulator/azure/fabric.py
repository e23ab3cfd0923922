"""The border between Azure's rules and real machines.

`emulator.azure` decides what may exist and what its body is; a `Fabric` creates it on the host.
Only ARM's own shapes cross the border, so either side can be replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

Report = Callable[[str], None]
"""Takes one short line on what is being done, such as "vm: booting", and shows it to the user."""

PowerAction = Literal["start", "restart", "poweroff", "deallocate"]


class FabricError(Exception):
    """The host failed to carry it out. `code` is an Azure error code such as `AllocationFailed`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Fabric(Protocol):
    """Creates, changes and removes resources. Called by one process at a time (the worker)."""

    def reconcile(self, resources: Mapping[str, Mapping[str, Any]], report: Report) -> None:
        """Make the host match `resources`, all of them, and nothing else of this instance.

        Keys are lower-cased ARM ids, values ARM bodies as a GET gives them, with two additions
        that a GET hides: `properties.osProfile.customData` (base64), and
        `properties.instanceView.statuses` holding `PowerState/running`, `PowerState/stopped` or
        `PowerState/deallocated`. Subnets appear both inside their network and under their own id.
        What is no longer in `resources` is removed. Another `properties.vmId` behind the same id
        is another machine. Idempotent and resumable: it may have been killed half way before.

        Raises FabricError.
        """
        ...

    def power(self, vm_id: str, action: PowerAction, report: Report) -> None:
        """Start, restart or stop the machine with this lower-cased ARM id. Raises FabricError."""
        ...


class NullFabric:
    """Plan mode: rules and state, and nothing on the host."""

    def reconcile(self, resources: Mapping[str, Mapping[str, Any]], report: Report) -> None:
        """Nothing exists on the host, so it always matches."""

    def power(self, vm_id: str, action: PowerAction, report: Report) -> None:
        """There is no machine to start or stop."""
