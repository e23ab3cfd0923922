#!/usr/bin/python3 -B
"""The two disks of this machine: the space and the room for files that they have left.

disks.py    prints a sentence for each disk that is nearly full, and how to free space
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path("/srv/data")
SYSTEM = Path("/")
# The folders of a disk that can take much.
FOLDERS = {
    DATA: ("ollama", "containers/volumes", "containers/overlay", "backup", "open-webui"),
    SYSTEM: ("opt/ollama", "var/log", "var/cache", "var/tmp", "var/lib", "home", "root", "usr"),
}
FULL = 0.85
CLEAN_UP = "`sudo systemctl start ollamazure-cleanup` on the machine removes what is not used"
MORE = "`bin/ollamazure status` shows what takes it"
# Where commands write. Debian has /tmp in memory, and an operator may have mounted others.
WRITTEN = (
    SYSTEM,
    DATA,
    *map(Path, ("/etc/ollamazure", "/opt", "/var/lib", "/var/tmp", "/tmp")),  # noqa: S108
)


def main() -> int:
    for sentence in full_disks():
        print(sentence)
    return 0


def full_disks() -> Iterator[str]:
    """A sentence for each disk that is nearly full: which one, and how to free space."""
    disks: dict[int, Path] = {}
    for path in filter(Path.exists, WRITTEN):
        disks.setdefault(path.stat().st_dev, path)
    for disk in disks.values():
        names = {DATA: "The data disk", SYSTEM: "The system disk"}
        name = names.get(disk, f"The file system at {disk}")
        enlarge = ", ollamazure:dataDiskGiB enlarges the data disk" if disk == DATA else ""
        fix = f"{CLEAN_UP}{enlarge}, and {MORE}."
        space, files = space_of(disk), files_of(disk)
        if is_full(space):
            left = f"{space['free'] / 2**20:.0f} of {space['total'] / 2**20:.0f} MiB free"
            yield f"{name} is {fullness(space)}: {left}. {fix}"
        if is_full(files):
            left = f"{files['free']} of {files['total']} inodes free"
            yield f"{name} has no room for many more files: {left}. {fix}"


def usage_of(disk: Path) -> dict[str, Any]:
    """The space of a disk and its files; of what is nearly used up, the folders that take most."""
    space, files = space_of(disk), files_of(disk)
    return {**described(disk, space), "files": described(disk, files, "--inodes")}


def described(disk: Path, left: dict[str, int], *options: str) -> dict[str, Any]:
    full = is_full(left)
    largest = largest_folders(disk, *options or ("--block-size=1",)) if full else []
    return {**left, "full": full, "largest": largest}


def space_of(disk: Path) -> dict[str, int]:
    """Bytes, for all users but root: for the users of the chat the disk is full without them."""
    found = os.statvfs(disk)
    return {"total": found.f_blocks * found.f_frsize, "free": found.f_bavail * found.f_frsize}


def files_of(disk: Path) -> dict[str, int]:
    """How many files (inodes) the disk can have; a file system without a limit has 0 in total."""
    found = os.statvfs(disk)
    return {"total": found.f_files, "free": found.f_favail}


def is_full(left: dict[str, int]) -> bool:
    """Whether more than 85 % are used."""
    return left["free"] < (1 - FULL) * left["total"]


def fullness(left: dict[str, int]) -> str:
    return "full" if left["free"] < 0.01 * left["total"] else "nearly full"


def largest_folders(disk: Path, option: str) -> list[tuple[str, int]]:
    """The folders that take most, largest first: bytes, or files with `--inodes`."""
    present = [str(disk / folder) for folder in FOLDERS[disk] if (disk / folder).exists()]
    du = ["du", "--summarize", "--one-file-system", option, *present]
    printed = subprocess.run(du, capture_output=True, text=True, check=False).stdout
    lines = [line.split("\t", 1) for line in printed.splitlines()]
    return sorted(((path, int(size)) for size, path in lines), key=lambda one: -one[1])[:4]


if __name__ == "__main__":
    sys.exit(main())
