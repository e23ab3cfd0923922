"""What an instance's things on the host are called and where they lie.

Everything carries the instance's prefix, or lies below its home or its folder in /run, so that
removal and its check find all of it without any other record.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from emulator.instance import Instance


@dataclass(frozen=True)
class Places:
    """The host names and folders of one instance."""

    instance: Instance

    @property
    def state(self) -> Path:
        """What the host side remembers: numbers given, processes started."""
        return self.instance.home / "host"

    @property
    def disks(self) -> Path:
        return self.instance.home / "disks"

    @property
    def machines(self) -> Path:
        return self.instance.home / "machines"

    @property
    def run(self) -> Path:
        """What a reboot of the host must forget: Podman sees by it that one happened."""
        return Path("/run/ollamazure-emulator") / self.instance.id

    @property
    def host_table(self) -> str:
        """The nftables table of the host that belongs to this instance."""
        return self.instance.prefix

    def network_namespace(self, number: int) -> str:
        return f"{self.instance.prefix}-vnet-{number}"

    def interface_namespace(self, number: int) -> str:
        return f"{self.instance.prefix}-nic-{number}"

    def host_link(self, number: int) -> str:
        """The host's end of its cable to a virtual network (at most 15 characters)."""
        return f"{self.instance.prefix}-v{number}"

    def container(self, machine: str) -> str:
        # Azure takes more characters in the name of a resource group than Podman.
        return f"{self.instance.prefix}-{re.sub(r'[^a-zA-Z0-9_.-]', '-', machine)}"

    def machine(self, name: str) -> Path:
        return self.machines / name


class Numbers:
    """Small numbers for things with long names, kept for as long as the thing exists."""

    def __init__(self, places: Places) -> None:
        self._file = places.state / "numbers.json"

    def of(self, kind: str, key: str) -> int:
        """The number of a thing: the one it has, else the lowest free one of its kind."""
        given = self.known(kind)
        if key not in given:
            taken = set(given.values())
            given[key] = next(number for number in range(len(taken) + 1) if number not in taken)
            self._keep(kind, given)
        return given[key]

    def known(self, kind: str) -> dict[str, int]:
        """Every thing of a kind that has a number."""
        return self._read().get(kind, {})

    def forget(self, kind: str, key: str) -> None:
        """Free the number of a thing that is no more."""
        given = self.known(kind)
        del given[key]
        self._keep(kind, given)

    def _keep(self, kind: str, given: dict[str, int]) -> None:
        replace_text(self._file, json.dumps(self._read() | {kind: given}, indent=1))

    def _read(self) -> dict[str, dict[str, int]]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}


def replace_text(file: Path, text: str, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a crash, sees the old or the new one, never half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(file)
