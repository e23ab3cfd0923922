"""Faults of the host, on request: disks that appear late, or never; slow disks and networks.

python -m emulator.host.faults late DISK SECONDS    # from the machine's next boot on
python -m emulator.host.faults missing DISK
python -m emulator.host.faults speed --disk 22.5 --network 200    # of machines made from now on
python -m emulator.host.faults clear
"""

from __future__ import annotations

import argparse
import json

from emulator.azure.fabric import FabricError
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
    arguments = parser.parse_args()
    places = Places(Instance.open())
    faults, speeds = DiskFaults(places), Speeds(places)
    if arguments.action == "clear":
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
