"""States how much time and disk space a make target needs, and refuses if a disk is too small.

python3 -m emulator.needs up|test|test-long|bench

It runs before anything is installed, so it uses Python's own library only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.instance import PROJECT, cache_folder

NEEDS = Path(__file__).with_suffix(".toml")
TARGETS = ("up", "test", "test-long", "bench")
GIB = 2**30
# A machine that exists needs no more than this: it is what emulator/host/disks.py demands.
EXISTING_MACHINE_GIB = 2


@dataclass(frozen=True)
class Folder:
    """A folder that a target writes into.

    Attributes:
        path: where it is, or will be.
        variable: the environment variable that moves it.
    """

    path: Path
    variable: str


@dataclass(frozen=True)
class Needs:
    """What a target needs on this machine.

    Attributes:
        minutes: on two idle cores.
        missing: the artifacts that are made first.
        steps: GiB by folder that are in use at the same time, one step after the other.
    """

    minutes: int
    missing: tuple[str, ...]
    steps: tuple[Mapping[Folder, float], ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what a target needs; 1 if a disk is too small for it."""
    parser = argparse.ArgumentParser(prog="python3 -m emulator.needs", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    target = parser.parse_args(arguments).target
    needs = find_needs(target)
    print(describe(target, needs), flush=True)
    problems = find_problems(needs)
    for problem in problems:
        print(f"make {target}: {problem}", file=sys.stderr)
    return 1 if problems else 0


def find_needs(target: str) -> Needs:
    """What a target needs, with what the cache already has."""
    table = tomllib.loads(NEEDS.read_text(encoding="utf-8"))
    run = table["run"][target]
    cache = Folder(cache_folder(), "XDG_CACHE_HOME")
    minutes, kept, missing, steps = run["minutes"], 0, [], []
    for name in run["makes"]:
        making = table["making"][name]
        lacking = [artifact for artifact in making["gib"] if not is_made(artifact)]
        if lacking:
            minutes += making["minutes"]
            steps.append({cache: kept + sum(making["gib"][artifact] for artifact in lacking)})
            kept += making["kept"]
            missing += lacking
    steps.append({cache: kept, **_space_to_run(run)})
    return Needs(minutes, tuple(missing), tuple(steps))


def _space_to_run(run: Mapping[str, Any]) -> dict[Folder, float]:
    if run["folder"] == "temporary":
        return {Folder(Path(tempfile.gettempdir()), "TMPDIR"): run["gib"]}
    instance = Path(os.environ.get("OLLAMAZURE_EMULATOR") or PROJECT / ".emulator").resolve()
    gib = EXISTING_MACHINE_GIB if instance.exists() else run["gib"]
    return {Folder(instance, "OLLAMAZURE_EMULATOR"): gib}


def is_made(artifact: str) -> bool:
    """Whether the cache has an artifact, perhaps of an earlier recipe (emulator/artifacts)."""
    stamps = cache_folder() / "built"
    return stamps.is_dir() and any(
        re.fullmatch(rf"{re.escape(artifact)}-[0-9a-f]{{12}}", stamp.name)
        for stamp in stamps.iterdir()
    )


def describe(target: str, needs: Needs) -> str:
    """One or two lines on time and disk space."""
    folders = dict.fromkeys(folder for step in needs.steps for folder in step)
    most = {folder: max(step.get(folder, 0) for step in needs.steps) for folder in folders}
    space = " and ".join(f"{gib:g} GiB in {folder.path}" for folder, gib in most.items() if gib)
    about = "up to" if needs.missing else "about"
    text = f"make {target} needs {about} {needs.minutes} minutes on two cores, and {space}."
    if needs.missing:
        names = ", ".join(needs.missing)
        text += f"\nMade once, and faster where it can be downloaded: {names}."
    return text


def free_bytes(path: Path) -> int:
    """The bytes that are free on the disk of a folder, also of one that does not exist yet."""
    return shutil.disk_usage(nearest(path)).free


def number_of_disk(path: Path) -> int:
    """The number of the file system that a folder is on, or will be."""
    return nearest(path).stat().st_dev


def find_problems(
    needs: Needs,
    free: Callable[[Path], int] = free_bytes,
    disk: Callable[[Path], int] = number_of_disk,
) -> list[str]:
    """The disks that are too small, each with the folders on it and the fix."""
    folders = dict.fromkeys(folder for step in needs.steps for folder in step)
    on_disk: dict[int, list[Folder]] = {}
    for folder in folders:
        on_disk.setdefault(disk(folder.path), []).append(folder)
    problems = []
    for together in on_disk.values():
        needed = max(sum(step.get(folder, 0) for folder in together) for step in needs.steps)
        available = free(together[0].path) / GIB
        if available < needed:
            problems.append(_too_small(together, needed, available))
    return problems


def nearest(path: Path) -> Path:
    """The folder itself, or the one that exists and that it will be in."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _too_small(folders: Sequence[Folder], needed: float, available: float) -> str:
    where = " and ".join(str(folder.path) for folder in folders)
    variables = " or ".join(folder.variable for folder in folders)
    return (
        f"the disk of {where} has {available:.1f} GiB free, and {needed:g} GiB are needed. "
        "Nothing has been started.\n"
        f"   Fix:      free some space there, or set {variables} to a folder on a larger disk"
    )


if __name__ == "__main__":
    sys.exit(main())
