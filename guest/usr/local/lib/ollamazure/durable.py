"""Files that a power cut leaves as they were or as they should be: never empty, never half."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes a file for root only, completely or not at all, also when the power is cut."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Writes the names in a folder to the disk."""
    folder = os.open(path, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def sync_disk(path: Path) -> None:
    """Writes to the disk what any program has written to the file system of this path."""
    subprocess.run(["sync", "--file-system", str(path)], check=True)
