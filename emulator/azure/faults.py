"""Faults of Azure, on request: slow, restricted, full, out of quota.

    python -m emulator.azure.faults add --type Microsoft.Compute/disks --code QuotaExceeded
    python -m emulator.azure.faults add --type Microsoft.Compute/virtualMachines --slow 60
    python -m emulator.azure.faults add --type Microsoft.Compute/virtualMachines \
        --operation resize --code OperationNotAllowed
    python -m emulator.azure.faults list
    python -m emulator.azure.faults clear

A slow operation ends early when its fault is cleared.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from emulator.azure.errors import AzureError
from emulator.azure.names import ResourceId
from emulator.azure.shapes import resource_type
from emulator.azure.store import Body
from emulator.instance import Instance


@dataclass
class Fault:
    """A fault for requests of `operation` on `type` whose name matches the pattern `name`.

    The operation `resize` is a PUT with another size, of a machine that is not deallocated.

    `code` is one of `CODES`, or empty. `slow` is the operation's shortest duration in seconds.
    `times` is the number of requests that it still affects; 0 means all, -1 means none any more.
    """

    type: str
    operation: str = "put"
    name: str = "*"
    code: str = ""
    slow: float = 0.0
    times: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def fits(self, operation: str, id_: ResourceId) -> bool:
        return (
            self.times >= 0
            and operation == self.operation
            and id_.type.lower() == self.type.lower()
            and fnmatch(id_.name, self.name)
        )


def _sku_not_available(id_: ResourceId, body: Body) -> AzureError:
    return AzureError(
        "SkuNotAvailable",
        f"The requested size for resource '{id_}' is currently not available in location"
        f" '{body['location']}' zones '' for subscription '{id_.subscription}'. Please try another"
        " size or deploy to a different location or zones. See"
        " https://aka.ms/azureskunotavailable for details.",
        status=409,
    )


def _quota_exceeded(id_: ResourceId, body: Body) -> AzureError:
    return AzureError(
        "QuotaExceeded",
        "Operation could not be completed as it results in exceeding approved Total Regional Cores"
        " quota. Additional details - Deployment Model: Resource Manager, Location:"
        f" {body['location']}, Current Limit: 0, Current Usage: 0, Additional Required: 2,"
        " (Minimum) New Limit Required: 2. Submit a request for Quota increase at"
        " https://aka.ms/ProdportalCRP. Please read more about quota limits at https://docs.microsoft.com/azure/azure-supportability/"
        "regional-quota-requests",
        status=409,
    )


def _allocation_failed(id_: ResourceId, body: Body) -> AzureError:
    return AzureError(
        "AllocationFailed",
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this"
        " region. Read more about improving likelihood of allocation success at"
        " https://aka.ms/allocation-guidance",
    )


def _nic_reserved(id_: ResourceId, body: Body) -> AzureError:
    return AzureError(
        "NicReservedForAnotherVm",
        f"Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide"
        f" another nic(s) or retry after 180 seconds. Reserved VM: {id_}. See aka.ms/deletenic.",
    )


def _not_registered(id_: ResourceId, body: Body) -> AzureError:
    namespace = id_.type.partition("/")[0]
    return AzureError(
        "MissingSubscriptionRegistration",
        f"The subscription is not registered to use namespace '{namespace}'. See"
        " https://aka.ms/rps-not-found for how to register subscriptions.",
        status=409,
    )


def _resize_not_allowed(id_: ResourceId, body: Body) -> AzureError:
    size = body["properties"]["hardwareProfile"]["vmSize"]
    return AzureError(
        "OperationNotAllowed",
        f"Unable to resize the VM '{id_.name}' because the requested size {size} is not available"
        " in the current hardware cluster. To resize your VM, please deallocate it first.",
        status=409,
        target="vmSize",
    )


CODES: dict[str, Callable[[ResourceId, Body], AzureError]] = {
    "SkuNotAvailable": _sku_not_available,
    "QuotaExceeded": _quota_exceeded,
    "AllocationFailed": _allocation_failed,
    "NicReservedForAnotherVm": _nic_reserved,
    "MissingSubscriptionRegistration": _not_registered,
    "OperationNotAllowed": _resize_not_allowed,
}
"""The errors by code. Azure reports AllocationFailed only after it has accepted the request."""

LATE = frozenset({"AllocationFailed"})


class Faults:
    """The faults of one emulated Azure, in a file beside its state."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = folder / "faults.json"

    def read(self) -> list[Fault]:
        try:
            return [Fault(**each) for each in json.loads(self._file.read_text())]
        except FileNotFoundError:
            return []

    def add(self, fault: Fault) -> None:
        self._change(lambda faults: [*faults, fault])

    def clear(self) -> None:
        self._change(lambda faults: [])

    def take(self, operation: str, id_: ResourceId) -> list[Fault]:
        """The faults that affect this request; their counters are decreased."""
        hit = [fault for fault in self.read() if fault.fits(operation, id_)]
        if any(fault.times for fault in hit):
            taken = {fault.id for fault in hit}
            self._change(lambda faults: _count_down(faults, taken))
        return hit

    def _change(self, change: Callable[[list[Fault]], list[Fault]]) -> None:
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps([asdict(each) for each in change(self.read())], indent=1))
            fresh.replace(self._file)


def _count_down(faults: list[Fault], taken: set[str]) -> list[Fault]:
    left = []
    for fault in faults:
        if fault.id in taken and fault.times:
            fault.times -= 1
            if fault.times == 0 and not fault.slow:
                continue
            if fault.times == 0:
                fault.times = -1  # kept: clearing it ends the operation that it slows down
        left.append(fault)
    return left


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the instance is $OLLAMAZURE_EMULATOR or the project's own."""
    parser = argparse.ArgumentParser(prog="python -m emulator.azure.faults")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="add a fault, from now on")
    add.add_argument("--type", required=True, help="such as Microsoft.Compute/virtualMachines")
    add.add_argument("--operation", choices=["put", "delete", "resize"], default="put")
    add.add_argument("--name", default="*", help="resource name, or a pattern (default: *)")
    add.add_argument("--code", choices=sorted(CODES), default="")
    add.add_argument("--slow", type=float, default=0.0, metavar="SECONDS")
    add.add_argument("--times", type=int, default=0, help="for how many requests (default: all)")
    commands.add_parser("list", help="show the faults")
    commands.add_parser("clear", help="remove all faults")
    options = vars(parser.parse_args(arguments))
    faults = Faults(Instance.open().home / "azure")
    match options.pop("command"):
        case "add":
            try:
                options["type"] = resource_type(options["type"]).name
            except AzureError as error:
                parser.error(error.message)
            if options["code"] == "OperationNotAllowed" and options["operation"] != "resize":
                parser.error("Azure answers OperationNotAllowed to --operation resize")
            faults.add(Fault(**options))
        case "clear":
            faults.clear()
        case "list":
            json.dump([asdict(each) for each in faults.read()], sys.stdout, indent=1)
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
