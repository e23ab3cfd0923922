"""Faults of the host, on request: late or missing disks, slow disks and networks, power cuts.

python -m emulator.host.faults late DISK SECONDS    # from the machine's next boot on
python -m emulator.host.faults missing DISK
python -m emulator.host.faults speed --disk 22.5 --network 200    # of machines made from now on
python -m emulator.host.faults clear
python -m emulator.host.faults power-cut            # of all machines; they boot again
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import struct
from pathlib import Path

from emulator.azure.fabric import FabricError
from emulator.host.namespace import Podman
from emulator.host.places import Places, replace_text
from emulator.host.speeds import Speed, Speeds
from emulator.instance import Instance


class DiskFaults:
    """The disks that appear late: name -> seconds, None for never."""

    def __init__(self, places: Places) -> None:
        self._file = places.state / "disk-faults.json"

    def read(self) -> dict[str, float | None]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def set(self, disk: str, seconds: float | None) -> None:
        replace_text(self._file, json.dumps(self.read() | {disk.lower(): seconds}))

    def clear(self) -> None:
        self._file.unlink(missing_ok=True)


# Of ext4: stops the file system at once. What was not synced is lost, and so is the last part of
# its journal.
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)


def shut_down(mounted: Path) -> None:
    """End a file system as a power cut does: it keeps only what was synced."""
    folder = os.open(mounted, os.O_RDONLY)
    try:
        fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
    finally:
        os.close(folder)


def cut_power(instance: Instance) -> None:
    """Cut the power of all machines. Their keepers switch them on again.

    Their OS disks are folders of this host and lose nothing.
    """
    places = Places(instance)
    podman = Podman(places)
    template = "{{.State.Pid}}"
    for machine in places.machines.glob("*"):
        container = places.container(machine.name)
        first = int(podman("container", "inspect", "--format", template, container))
        if first == 0:
            continue  # it is off
        for mounted in _disks_of(first):
            shut_down(mounted)
        os.kill(first, signal.SIGKILL)


def _disks_of(process: int) -> list[Path]:
    """Where the disks of the machine with this first process are mounted, as this host sees it."""
    root = Path(f"/proc/{process}/root")
    lines = [line.split() for line in Path(f"/proc/{process}/mounts").read_text().splitlines()]
    disks = {
        device: path for device, path, kind, *_ in lines if kind == "ext4" and "/loop" in device
    }
    return [root / path.lstrip("/") for path in disks.values()]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m emulator.host.faults", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    late = actions.add_parser("late", help="the disk appears SECONDS after the machine's boot")
    late.add_argument("disk")
    late.add_argument("seconds", type=float)
    actions.add_parser("missing", help="the disk never appears").add_argument("disk")
    speed = actions.add_parser("speed", help="the speeds of machines that are made from now on")
    speed.add_argument("--disk", type=float, metavar="MB/S", help="of reads, and of writes")
    speed.add_argument("--network", type=float, metavar="MBIT/S")
    actions.add_parser("clear", help="all disks appear at once, and everything is fast again")
    actions.add_parser("power-cut", help="all machines lose what they have not synced, and boot")
    arguments = parser.parse_args()
    instance = Instance.open()
    places = Places(instance)
    faults, speeds = DiskFaults(places), Speeds(places)
    if arguments.action == "power-cut":
        cut_power(instance)
    elif arguments.action == "clear":
        faults.clear()
        speeds.clear()
    elif arguments.action == "speed":
        try:
            speeds.set(Speed(arguments.disk, arguments.network))
        except FabricError as error:
            parser.error(str(error))
    else:
        faults.set(arguments.disk, getattr(arguments, "seconds", None))


if __name__ == "__main__":
    main()
