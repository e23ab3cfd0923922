"""Managed disks: sparse files behind loop devices. Nothing here ever looks into a data disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from emulator.azure.fabric import FabricError
from emulator.host.commands import run
from emulator.host.desired import DesiredDisk, name_on_host
from emulator.host.places import Places

_GIB = 1 << 30


class Disks:
    """The data disks of one instance."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def reconcile(self, disks: Iterable[DesiredDisk]) -> None:
        """Make these disks exist, of their size. Raises FabricError."""
        for disk in disks:
            make_or_grow(self.file(disk.id), disk.size_gib)

    def remove_others(self, disks: Iterable[DesiredDisk]) -> None:
        """Delete the disks that are not among these; none of them may be attached any more."""
        kept = {self.file(disk.id) for disk in disks}
        for file in set(self._places.disks.glob("*.disk")) - kept:
            detach(file)
            file.unlink()

    def file(self, disk_id: str) -> Path:
        """Where a disk's contents lie."""
        return self._places.disks / f"{name_on_host(disk_id)}.disk"


def make_or_grow(file: Path, size_gib: int) -> None:
    """A sparse file of this size; a larger one grows under a machine that runs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    size = size_gib * _GIB
    if file.exists() and file.stat().st_size >= size:
        return
    _require_space(file.parent)
    with file.open("ab") as disk:
        os.truncate(disk.fileno(), size)
    file.chmod(0o600)
    for device in _devices(file):
        run(["losetup", "--set-capacity", device])


def attach(file: Path) -> int:
    """Give the file a loop device, unless it has one. Returns the device's number."""
    devices = _devices(file)
    device = devices[0] if devices else run(["losetup", "--find", "--show", str(file)]).strip()
    return int(device.removeprefix("/dev/loop"))


def detach(file: Path) -> None:
    """Take its loop devices away; one that a machine still has mounted goes when it lets go."""
    for device in _devices(file):
        run(["losetup", "--detach", device])


def attached_below(folder: Path) -> dict[Path, str]:
    """Files below the folder that have a loop device -> that device. Deleted files count too."""
    found = json.loads(run(["losetup", "--json", "--list", "-O", "NAME,BACK-FILE"]) or "{}")
    files = {
        Path(entry["back-file"].removesuffix(" (deleted)")): entry["name"]
        for entry in found.get("loopdevices", [])
        if entry["back-file"]
    }
    return {file: name for file, name in files.items() if file.is_relative_to(folder)}


def _devices(file: Path) -> list[str]:
    return run(["losetup", "-j", str(file), "-n", "-O", "NAME"]).split()


def _require_space(folder: Path) -> None:
    """Disks are sparse, so only a host that is all but full refuses one."""
    free = shutil.disk_usage(folder).free
    if free < 2 * _GIB:
        raise FabricError(
            "AllocationFailed",
            f"The host has {free / _GIB:.1f} GiB free below {folder}; the emulator needs 2 GiB for "
            "a disk. Free some space, or put the emulator's folder elsewhere with "
            "OLLAMAZURE_EMULATOR=DIR.",
        )
