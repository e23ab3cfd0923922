#!/usr/bin/python3 -B
"""Removes what nothing on this machine uses any more; ollamazure-cleanup.timer runs it each night.

Kept are of each container the image that it runs, that it declares, that last worked and the one
before; of Ollama the current and the previous version. Everything else is kept, too, until it is
old: a deployment may be using it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import model
from drift import UNITS, declared_image, output_of

CONTAINERS = UNITS[1]
STORAGE = Path("/srv/data/containers")
# Images that lib.sh recorded: the last one that worked, and the one before.
RECORDS = Path("/var/lib/ollamazure")
OLLAMA = Path("/opt/ollama")
# Where Podman unpacks an image while it pulls it.
TEMPORARY = Path("/var/tmp")  # noqa: S108  Podman's own choice
DAY = 24 * 3600
OLD = 7 * DAY
NAMELESS_VOLUME = re.compile(r"[0-9a-f]{64}")


def main() -> int:
    tasks = [remove_images, remove_volumes, remove_versions, remove_temporary, remove_downloads]
    return 1 if sum(failed(task) for task in tasks) else 0


def failed(task: Callable[[], None]) -> bool:
    """Run a task; the others run, too, if it fails."""
    try:
        task()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"{task.__name__}: {error}", file=sys.stderr, flush=True)
        return True
    return False


def remove_images() -> None:
    """Former images of our containers, and layers without an image, which Podman lists as one."""
    kept, ours = used_images(), {repository(image) for image in declared_images()}
    for image in json.loads(podman("images", "--all", "--format", "json") or "[]"):
        names = [*(image.get("Names") or []), *(image.get("RepoDigests") or [])]
        foreign = names and not any(repository(name) in ours for name in names)
        pulled = STORAGE / "overlay-images" / image["Id"]
        if not foreign and image["Id"] not in kept and is_old(pulled):
            report(names[0] if names else image["Id"][:12])
            # Without --force, Podman refuses to remove an image that a container uses.
            podman("rmi", image["Id"])


def used_images() -> set[str]:
    """The ids of the images to keep."""
    recorded = [path.read_text().strip() for path in RECORDS.glob("*.image*")]
    inspected = [image_id(image) for image in (*declared_images(), *recorded)]
    running = podman("ps", "--all", "--no-trunc", "--format", "{{.ImageID}}").split()
    return {*filter(None, inspected), *(each.removeprefix("sha256:") for each in running)}


def image_id(image: str) -> str:
    """Empty if this machine does not have the image."""
    return output_of(["podman", "image", "inspect", "--format", "{{.Id}}", image])


def declared_images() -> list[str]:
    return [declared_image(path) for path in sorted(CONTAINERS.glob("*.container"))]


def repository(image: str) -> str:
    """`host:5000/name` of `host:5000/name:tag@sha256:…`."""
    return re.sub(r":[^:/]+$", "", image.partition("@")[0])


def remove_volumes() -> None:
    """Volumes without a name whose container is gone, for example by a power cut.

    Never the volume `open-webui`, which has the chats and no container while Open WebUI is stopped.
    """
    for name in podman("volume", "ls", "--quiet", "--filter", "dangling=true").split():
        if NAMELESS_VOLUME.fullmatch(name) and is_old(STORAGE / "volumes" / name):
            report(f"the volume {name[:12]}")
            podman("volume", "rm", name)


def remove_versions() -> None:
    """Versions of Ollama that are neither current nor previous, and unfinished downloads."""
    links = [path for path in children(OLLAMA) if path.is_symlink()]
    kept = {path.resolve() for path in links}
    for path in children(OLLAMA):
        if path not in links and path.resolve() not in kept and is_old(path):
            remove(path)


def remove_temporary() -> None:
    """What is left of pulls that were cut off."""
    for path in TEMPORARY.glob("container_images_*"):
        if is_old(path, DAY):
            remove(path)


def remove_downloads() -> None:
    model.discard_unfinished(older_than=OLD)


def is_old(path: Path, age: float = OLD) -> bool:
    """Whether it has not changed for this time; not if it does not exist."""
    return path.exists() and time.time() - path.lstat().st_mtime > age


def remove(path: Path) -> None:
    report(str(path))
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def children(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir()) if folder.exists() else [])


def podman(*arguments: str) -> str:
    command: list[Any] = ["podman", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def report(what: str) -> None:
    print(f"Removing {what}.", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
