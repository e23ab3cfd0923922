"""One emulated Azure: where it keeps things and what its things on the host are called.

An instance is a folder. Everything it makes on the host (containers, network namespaces, loop
devices, nftables tables) carries its id, so that `make down` finds exactly that and a second
instance, of another clone, runs beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def cache_folder() -> Path:
    """The user's cache: artifacts by version, shared by every instance of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ollamazure"


def in_plan_mode() -> bool:
    """Whether only rules and state are emulated: no machine exists and no command runs."""
    return os.environ.get("OLLAMAZURE_PLAN") == "1"


def _numbers() -> Path:
    """Where instances claim their numbers. Only root's have anything on the host; plan mode works
    for everybody."""
    return Path("/run/ollamazure-emulator") if os.geteuid() == 0 else cache_folder() / "instances"


@dataclass(frozen=True)
class Instance:
    """An emulated Azure, known by its state folder.

    `home` is the folder; `id` six hexadecimal digits derived from it; `number` (0-255) is unique
    among the instances of this host and is the third byte of the stand-in public addresses.
    """

    home: Path
    id: str
    number: int

    @classmethod
    def open(cls, home: Path | None = None) -> Instance:
        """Open (and on first use make) the instance at `home`.

        The default is $OLLAMAZURE_EMULATOR, else `.emulator` in the project.
        """
        configured = os.environ.get("OLLAMAZURE_EMULATOR")
        home = (home or Path(configured or PROJECT / ".emulator")).resolve()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(home, hashlib.sha256(str(home).encode()).hexdigest()[:6], _claim(home))

    @property
    def prefix(self) -> str:
        """What the names of everything on the host begin with."""
        return f"olz-{self.id}"

    @property
    def pulumi_home(self) -> Path:
        return self.home / "pulumi"

    @property
    def backend(self) -> Path:
        return self.home / "backend"

    def public_address(self, index: int) -> str:
        """The stand-in for the index-th public address (0-249) of this instance."""
        if not 0 <= index < 250:
            raise ValueError(f"an emulated Azure has 250 public addresses, not {index + 1}")
        return f"127.20.{self.number}.{index + 4}"

    def release(self) -> None:
        """Give the number back; called when the instance is removed."""
        (_numbers() / str(self.number)).unlink(missing_ok=True)


def _claim(home: Path) -> int:
    """The instance's number: the one it has, else the lowest free one."""
    numbers = _numbers()
    numbers.mkdir(parents=True, exist_ok=True)
    with (numbers / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        owners: dict[int, str] = {}
        for entry in numbers.iterdir():
            if entry.name.isdigit() and entry.is_file():
                owner = entry.read_text()
                if owner and Path(owner).is_dir():
                    owners[int(entry.name)] = owner
        for number, owner in owners.items():
            if owner == str(home):
                return number
        for number in range(256):
            if number not in owners:
                (numbers / str(number)).write_text(str(home))
                return number
    raise RuntimeError("256 emulated Azures exist on this host; remove one with `make down`")
