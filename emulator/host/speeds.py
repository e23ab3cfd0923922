"""The speeds of a machine's disks and network, on request: a size's, instead of this host's.

A disk is limited on its loop device by the control group blkio (cgroup v1): reads in the group of
the machine's processes, writes in the root group, from which the kernel writes cached data. Reads
and writes have the speed each; on Azure they share it. The network is limited on both ends of the
link between machine and router.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.azure.fabric import FabricError
from emulator.host.commands import run, succeeds
from emulator.host.namespace import CGROUP
from emulator.host.places import Places, replace_text

_BLKIO = CGROUP / "blkio"
_LOOP = 7  # the kernel's number for loop devices
_LIMITS = ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")


@dataclass(frozen=True)
class Speed:
    """Disks in MB/s (10^6 bytes a second) and network in Mbit/s; None is this host's speed."""

    disk_mbps: float | None = None
    network_mbits: float | None = None


class Speeds:
    """The speed of an instance's machines, from their next boot on."""

    def __init__(self, places: Places) -> None:
        self._file = places.state / "speed.json"

    def read(self) -> Speed:
        return Speed(**json.loads(self._file.read_text())) if self._file.exists() else Speed()

    def set(self, speed: Speed) -> None:
        """Raises FabricError if this host cannot limit disks."""
        if speed.disk_mbps and not (_BLKIO / _LIMITS[0]).exists():
            raise FabricError(
                "NotEmulated",
                "The speed of disks needs the control group blkio of cgroup v1, which this host "
                "does not have.",
            )
        replace_text(self._file, json.dumps(asdict(speed)))

    def clear(self) -> None:
        self._file.unlink(missing_ok=True)


def limit_disk(loop: int, mbps: float | None) -> None:
    """Limit a loop device, or end its limit. A limit outlives what the device is attached to."""
    rate = int((mbps or 0) * 1e6)
    for group in {_BLKIO, _BLKIO / _own_group()}:
        for limit in _LIMITS:
            if (group / limit).exists():
                (group / limit).write_text(f"{_LOOP}:{loop} {rate}\n")


def limit_network(namespace: str, link: str, mbits: float | None) -> None:
    """Limit what leaves a namespace on this link, or end its limit."""
    qdisc = ["tc", "-n", namespace, "qdisc"]
    if mbits:
        shape = f"rate {mbits:g}mbit burst 256kb latency 200ms"
        run([*qdisc, "replace", "dev", link, "root", "tbf", *shape.split()])
    else:
        succeeds([*qdisc, "delete", "dev", link, "root"])  # fails if there is none


def _own_group() -> str:
    """The blkio group of this process, which the machines that it starts are in as well."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        if "blkio" in kinds.split(","):
            return path.lstrip("/")
    return ""
