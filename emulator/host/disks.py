"""Managed disks: sparse files behind loop devices. Nothing here reads a data disk."""

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
from emulator.host.speeds import limit_disk

_GIB = 1 << 30


class Disks:
    """The data disks of one instance."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def reconcile(self, disks: Iterable[DesiredDisk]) -> None:
        """Create these disks, or grow them to their size. Raises FabricError."""
        for disk in disks:
            make_or_grow(self.file(disk.id), disk.size_gib)

    def remove_others(self, disks: Iterable[DesiredDisk]) -> None:
        """Delete the disks that are not among these. None of them may be attached any more."""
        kept = {self.file(disk.id) for disk in disks}
        for file in set(self._places.disks.glob("*.disk")) - kept:
            detach(file)
            file.unlink()

    def file(self, disk_id: str) -> Path:
        """The file with a disk's contents."""
        return self._places.disks / f"{name_on_host(disk_id)}.disk"


def make_or_grow(file: Path, size_gib: int) -> None:
    """Create a sparse file of this size, or grow it, also while a machine uses it."""
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


def attach(file: Path, mbps: float | None = None) -> int:
    """Attach the file to a loop device, unless it is attached. Returns the device's number.

    `mbps` limits its speed; see speeds.py.
    """
    devices = _devices(file)
    device = devices[0] if devices else run(["losetup", "--find", "--show", str(file)]).strip()
    limit_disk(_number(device), mbps)
    return _number(device)


def detach(file: Path) -> None:
    """Detach the file's loop devices. A mounted one stays until it is unmounted."""
    for device in _devices(file):
        detach_device(device)


def detach_device(device: str) -> None:
    """Detach a loop device, without a limit for what is attached to it next."""
    limit_disk(_number(device), None)
    run(["losetup", "--detach", device])


def attached_below(folder: Path) -> dict[Path, str]:
    """Files below the folder, deleted ones as well -> their loop device."""
    found = json.loads(run(["losetup", "--json", "--list", "-O", "NAME,BACK-FILE"]) or "{}")
    files = {
        Path(entry["back-file"].removesuffix(" (deleted)")): entry["name"]
        for entry in found.get("loopdevices", [])
        if entry["back-file"]
    }
    return {file: name for file, name in files.items() if file.is_relative_to(folder)}


def _number(device: str) -> int:
    return int(device.removeprefix("/dev/loop"))


def _devices(file: Path) -> list[str]:
    return run(["losetup", "-j", str(file), "-n", "-O", "NAME"]).split()


def _require_space(folder: Path) -> None:
    """Refuse a disk only on an almost full host, because disks are sparse."""
    free = shutil.disk_usage(folder).free
    if free < 2 * _GIB:
        raise FabricError(
            "AllocationFailed",
            f"The host has {free / _GIB:.1f} GiB free below {folder}; the emulator needs 2 GiB for "
            "a disk. Free some space, or put the emulator's folder elsewhere with "
            "OLLAMAZURE_EMULATOR=DIR.",
        )
