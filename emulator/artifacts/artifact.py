"""An artifact: when it is finished, its official source, and how it is built."""

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
"""The resource that limits a build; one build of each kind runs at a time."""


@dataclass(frozen=True)
class Artifact:
    """One thing to make, finished when its stamp and its targets exist.

    `recipe` is everything that determines its content: another recipe is another artifact. `place`
    is the URL of the official source, for `copy_official`; `gib` is the disk space needed to make
    it. An `optional` artifact is made only when it is requested by name.
    """

    name: str
    lane: Lane
    gib: int
    recipe: tuple[str, ...]
    targets: tuple[Path, ...]
    build: Callable[[Work], None]
    copy_official: Callable[[Work, str], None] | None = None
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
    """Move a finished file to its place, in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, part := target.with_name(f"{target.name}.{os.getpid()}.part"))
    part.rename(target)


def replace_folder(source: Path, target: Path) -> None:
    """Move a finished folder to its place; remove an older one first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    source.rename(target)
