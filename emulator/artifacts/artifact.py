"""What an artifact is: when it is there, where it comes from officially, how it is built."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emulator.artifacts.work import Work
from emulator.instance import cache_folder

Lane = Literal["processor", "network"]
"""What a build is bound by; one of each kind runs at a time."""


@dataclass(frozen=True)
class Artifact:
    """One thing to be made, finished when its stamp says so and its targets exist.

    `recipe` is everything that decides its content: another recipe is another artifact. `place` is
    the URL of the official source, which `official` copies from; `gib` the disk space that making
    it takes. An `optional` artifact is made only when it is asked for by name.
    """

    name: str
    lane: Lane
    gib: int
    recipe: tuple[str, ...]
    targets: tuple[Path, ...]
    build: Callable[[Work], None]
    official: Callable[[Work, str], None] | None = None
    place: str = ""
    optional: bool = False

    @property
    def stamp(self) -> Path:
        key = hashlib.sha256(json.dumps(self.recipe).encode()).hexdigest()[:12]
        return cache_folder() / "built" / f"{self.name}-{key}"

    @property
    def finished(self) -> bool:
        return self.stamp.exists() and all(target.exists() for target in self.targets)


def registry_url(registry: str) -> str:
    """The URL of a container registry; Docker's own has another host than its name."""
    host = "registry-1.docker.io" if registry == "docker.io" else registry
    return f"https://{host}"


def replace_file(source: Path, target: Path) -> None:
    """Put a finished file in its place, at once or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, part := target.with_name(f"{target.name}.{os.getpid()}.part"))
    part.rename(target)


def replace_folder(source: Path, target: Path) -> None:
    """Put a finished folder in its place; an older one there is removed first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    source.rename(target)
