"""The names and folders of an instance on the host.

Everything has the instance's prefix in its name, or is below its home or its folder in /run. So
removal and its check find all of it without another record.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from emulator.instance import RUN, Instance


@dataclass(frozen=True)
class Places:
    """The host names and folders of one instance."""

    instance: Instance

    @property
    def state(self) -> Path:
        """The host side's own records: assigned numbers, started processes."""
        return self.instance.home / "host"

    @property
    def disks(self) -> Path:
        return self.instance.home / "disks"

    @property
    def machines(self) -> Path:
        return self.instance.home / "machines"

    @property
    def blobs(self) -> Path:
        """What the storage accounts hold."""
        return self.instance.home / "blobs"

    @property
    def directory_key(self) -> Path:
        """The key that signs the tokens of identities."""
        return self.state / "directory.pem"

    @property
    def run(self) -> Path:
        """Files that a reboot of the host removes; by this Podman notices the reboot."""
        return RUN / self.instance.id

    @property
    def host_table(self) -> str:
        """The nftables table of the host that belongs to this instance."""
        return self.instance.prefix

    def network_namespace(self, number: int) -> str:
        return f"{self.instance.prefix}-vnet-{number}"

    def interface_namespace(self, number: int) -> str:
        return f"{self.instance.prefix}-nic-{number}"

    def host_link(self, number: int) -> str:
        """The host's end of its link to a virtual network (at most 15 characters)."""
        return f"{self.instance.prefix}-v{number}"

    def container(self, machine: str) -> str:
        # Azure allows more characters in a resource group's name than Podman in a container's.
        return f"{self.instance.prefix}-{re.sub(r'[^a-zA-Z0-9_.-]', '-', machine)}"

    def machine(self, name: str) -> Path:
        return self.machines / name


class Numbers:
    """Small numbers for things with long names, kept as long as the thing exists."""

    def __init__(self, places: Places) -> None:
        self._file = places.state / "numbers.json"

    def of(self, kind: str, key: str) -> int:
        """The number of a thing: its former one, else the lowest free one of its kind."""
        given = self.known(kind)
        if key not in given:
            taken = set(given.values())
            given[key] = next(number for number in range(len(taken) + 1) if number not in taken)
            self._keep(kind, given)
        return given[key]

    def known(self, kind: str) -> dict[str, int]:
        """All things of a kind that have a number."""
        return self._read().get(kind, {})

    def forget(self, kind: str, key: str) -> None:
        """Free the number of a thing that no longer exists."""
        given = self.known(kind)
        del given[key]
        self._keep(kind, given)

    def _keep(self, kind: str, given: dict[str, int]) -> None:
        replace_text(self._file, json.dumps(self._read() | {kind: given}, indent=1))

    def _read(self) -> dict[str, dict[str, int]]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}


def replace_text(file: Path, text: str, mode: int = 0o600) -> None:
    """Write a file in one step: after a crash it is the old or the new one, never half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(file)
