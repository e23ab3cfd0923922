"""A copy of the project as it lies here, as a repository of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from emulator.instance import PROJECT


def clone(place: Path) -> None:
    """Clone the project into `place`, with what is not committed yet, on the branch `main`."""
    git(PROJECT, "clone", "--quiet", "--shared", str(PROJECT), str(place))
    for name in git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").split("\n"):
        if (PROJECT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, place / name)
    git(place, "checkout", "--quiet", "-B", "main")
    commit(place)


def commit(place: Path) -> None:
    """Commit everything that differs, also nothing."""
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--allow-empty", "--message", "changed")


def git(folder: Path, *arguments: str) -> str:
    """Run git with an identity of its own; returns what it prints."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
