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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

import yaml

from emulator.azure.errors import AzureError
from emulator.azure.names import ResourceId
from emulator.azure.shapes import resource_type
from emulator.azure.store import Body
from emulator.instance import Instance


@dataclass(frozen=True)
class Refusal:
    """One of Azure's errors; `refusals.yaml` explains the fields."""

    code: str
    status: int
    message: str
    of: str = ""
    operations: tuple[str, ...] = ("put",)
    late: bool = False
    target: str | None = None
    retry_after: float | None = None

    def concerns(self, type_: str, operation: str = "put") -> bool:
        """Whether Azure gives this answer to requests of `operation` on the type."""
        fits = type_.startswith(self.of) if self.of.endswith("/") else self.of in ("", type_)
        return fits and operation in self.operations

    def error(self, operation: str, id_: ResourceId, body: Body) -> AzureError:
        """The error for a request."""
        properties = body.get("properties", {})
        words = {
            "id": id_,
            "name": id_.name,
            "type": id_.type,
            "namespace": id_.type.partition("/")[0],
            "group": id_.group,
            "subscription": id_.subscription,
            "location": body.get("location", ""),
            "principal": properties.get("principalId", ""),
            "size": properties.get("hardwareProfile", {}).get("vmSize", ""),
            "retryAfter": f"{self.retry_after or 0:g}",
            "action": "delete" if operation == "delete" else "write",
        }
        return AzureError(
            self.code,
            self.message.format_map(words),
            status=self.status,
            target=self.target,
            retry_after=self.retry_after,
        )


def _refusals() -> Mapping[str, Refusal]:
    listed = yaml.safe_load((Path(__file__).parent / "refusals.yaml").read_text())
    return {
        code: Refusal(
            code,
            status=each["status"],
            message=each["message"],
            of=each.get("of", ""),
            operations=tuple(each.get("operations", ["put"])),
            late=each.get("late", False),
            target=each.get("target"),
            retry_after=each.get("retryAfter"),
        )
        for code, each in listed.items()
    }


REFUSALS = _refusals()
"""Azure's errors by code."""


@dataclass
class Fault:
    """A fault for requests of `operation` on `type` whose name matches the pattern `name`.

    The operation `resize` is a PUT with another size, of a machine that is not deallocated.

    `code` is one of `REFUSALS`, or empty; `retry_after` replaces its Retry-After. `slow` is the
    operation's shortest duration in seconds. `times` is the number of requests that it still
    affects; 0 means all, -1 means none any more.
    """

    type: str
    operation: str = "put"
    name: str = "*"
    code: str = ""
    slow: float = 0.0
    times: int = 0
    retry_after: float | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def fits(self, operation: str, id_: ResourceId) -> bool:
        return (
            self.times >= 0
            and operation == self.operation
            and id_.type.lower() == self.type.lower()
            and fnmatch(id_.name, self.name)
        )

    @property
    def refusal(self) -> Refusal | None:
        """The error, if it has one."""
        found = REFUSALS.get(self.code)
        if found is None or self.retry_after is None:
            return found
        return replace(found, retry_after=self.retry_after)


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
    add.add_argument("--code", choices=sorted(REFUSALS), default="")
    add.add_argument("--slow", type=float, default=0.0, metavar="SECONDS")
    add.add_argument("--retry-after", type=float, metavar="SECONDS", help="with a code: the header")
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
            refusal = REFUSALS.get(options["code"])
            if refusal and options["operation"] not in refusal.operations:
                operations = " or ".join(refusal.operations)
                parser.error(f"Azure answers {refusal.code} to --operation {operations}")
            faults.add(Fault(**options))
        case "clear":
            faults.clear()
        case "list":
            json.dump([asdict(each) for each in faults.read()], sys.stdout, indent=1)
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
