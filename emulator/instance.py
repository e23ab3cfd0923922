"""One emulated Azure: its folder, and the names of what it creates on the host.

Everything that an instance creates on the host (containers, network namespaces, loop devices,
nftables tables) has the instance's id in its name. So `make down` finds exactly that, and the
instance of another clone can run at the same time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def cache_folder() -> Path:
    """The user's cache folder: artifacts by version, shared by all instances of the user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ollamazure"


def in_plan_mode() -> bool:
    """Whether only rules and state are emulated: no machine exists and no command runs."""
    return os.environ.get("OLLAMAZURE_PLAN") == "1"


RUN = Path("/run/ollamazure-emulator")
"""What instances of root have on this host until it restarts."""


def _numbers() -> Path:
    """The folder in which instances claim their numbers.

    Instances of other users than root are in plan mode and create nothing on the host.
    """
    return RUN if os.geteuid() == 0 else cache_folder() / "instances"


PREFIX = "olz"
"""Begins the names of everything that an instance has on the host; its id follows."""


@dataclass(frozen=True)
class Instance:
    """An emulated Azure, identified by its state folder.

    `home` is the folder; `id` six hexadecimal digits derived from it; `number` (0-255) is unique
    among the instances of this host and is the third byte of the stand-in public addresses.
    """

    home: Path
    id: str
    number: int

    @classmethod
    def open(cls, home: Path | None = None) -> Instance:
        """Open the instance at `home`, and create it on first use.

        The default is $OLLAMAZURE_EMULATOR, else `.emulator` in the project.
        """
        configured = os.environ.get("OLLAMAZURE_EMULATOR")
        home = (home or Path(configured or PROJECT / ".emulator")).resolve()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(home, _id_of(home), _claim(home))

    @classmethod
    def below(cls, folder: Path) -> list[Instance]:
        """The instances of this host whose homes are below `folder`."""
        return [cls.open(home) for home in cls.homes_below(folder).values()]

    @classmethod
    def dead(cls, id_: str) -> Instance:
        """An instance without a home, to find what it has left on the host."""
        return cls(Path("/nonexistent"), id_, -1)

    @staticmethod
    def homes_below(folder: Path) -> dict[str, Path]:
        """The homes below `folder` by the ids of their instances; nothing is created."""
        homes = (Path(home) for home in _owners(_numbers()).values())
        return {_id_of(home): home for home in homes if home.is_relative_to(folder.resolve())}

    @staticmethod
    def ids() -> set[str]:
        """The ids of the instances of this host, whose homes exist."""
        return {_id_of(Path(home)) for home in _owners(_numbers()).values()}

    @property
    def prefix(self) -> str:
        """The prefix of the names of everything on the host."""
        return f"{PREFIX}-{self.id}"

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
        """Free the instance's number. Call this when the instance is removed."""
        (_numbers() / str(self.number)).unlink(missing_ok=True)


def _id_of(home: Path) -> str:
    return hashlib.sha256(str(home).encode()).hexdigest()[:6]


def _owners(numbers: Path) -> dict[int, str]:
    """The claimed numbers, with the instances' homes; a home that is gone frees its number."""
    claimed = {
        int(entry.name): entry.read_text()
        for entry in numbers.glob("[0-9]*")
        if entry.name.isdigit() and entry.is_file()
    }
    return {number: home for number, home in claimed.items() if home and Path(home).is_dir()}


def _claim(home: Path) -> int:
    """Return the instance's number: its former one, else the lowest free one."""
    numbers = _numbers()
    numbers.mkdir(parents=True, exist_ok=True)
    with (numbers / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        owners = _owners(numbers)
        for number, owner in owners.items():
            if owner == str(home):
                return number
        for number in range(256):
            if number not in owners:
                (numbers / str(number)).write_text(str(home))
                return number
    raise RuntimeError("256 emulated Azures exist on this host; remove one with `make down`")
