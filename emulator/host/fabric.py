"""Azure's resources on this host: the order in which they are created and removed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator.artifacts import paths
from emulator.azure.fabric import FabricError, PowerAction, Report
from emulator.host.commands import require_programs
from emulator.host.desired import Desired
from emulator.host.disks import Disks
from emulator.host.machine import Machines
from emulator.host.namespace import Podman
from emulator.host.network import Networks
from emulator.host.places import Numbers, Places, replace_text
from emulator.host.processes import Processes
from emulator.host.services import Services
from emulator.instance import Instance


def _image() -> Path:
    return Path(os.environ.get("OLLAMAZURE_MACHINE_IMAGE") or paths.machine_rootfs())


class HostFabric:
    """The Fabric of real machines.

    `image` (a root file system as tar) and `mirror` (a folder) are the artifacts to use; by default
    those that `python -m emulator.artifacts build` makes. $OLLAMAZURE_MACHINE_IMAGE changes the
    default of the image.
    """

    def __init__(
        self, instance: Instance, image: Path | None = None, mirror: Path | None = None
    ) -> None:
        self._places = places = Places(instance)
        processes = Processes(places)
        numbers = Numbers(places)
        self._networks = Networks(places, numbers, processes, mirror or paths.mirror())
        self._services = Services(places, numbers, processes, self._networks)
        self._disks = Disks(places)
        self._machines = Machines(
            places, Podman(places), processes, self._networks, self._disks, image or _image()
        )

    def reconcile(self, resources: Mapping[str, Mapping[str, Any]], report: Report) -> None:
        """See Fabric.reconcile."""
        desired = Desired.read(resources)
        with self._lock():
            replace_text(self._resources, json.dumps(resources))
            self._machines.remove_others(desired.machines)
            self._networks.reconcile(desired.networks)
            self._disks.reconcile(desired.disks)
            self._machines.reconcile(desired, report)
            self._services.reconcile(resources, desired)
            self._disks.remove_others(desired.disks)

    def power(self, vm_id: str, action: PowerAction, report: Report) -> None:
        """See Fabric.power."""
        with self._lock():
            desired = Desired.read(json.loads(self._resources.read_text()))
            self._machines.power(desired, vm_id, action, report)

    def revive(self, vm_id: str, report: Report) -> None:
        """Start a machine that should run and does not. Raises FabricError."""
        with self._lock():
            desired = Desired.read(json.loads(self._resources.read_text()))
            self._machines.revive(desired, vm_id, report)

    def refresh(self) -> None:
        """Bring running machines up to this version of the emulator. Raises FabricError."""
        with self._lock():
            self._machines.refresh()

    @property
    def _resources(self) -> Path:
        """The file with the resources of the last `reconcile`, for power actions."""
        return self._places.state / "resources.json"

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock, as root and with all programs installed. Raises FabricError."""
        if os.geteuid() != 0:
            raise FabricError(
                "AuthorizationFailed",
                "The emulator makes networks, disks and machines on this host, which needs root. "
                "Run the same command with sudo -E.",
            )
        require_programs()
        self._places.state.mkdir(parents=True, exist_ok=True)
        with (self._places.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
