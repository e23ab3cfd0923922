#!/usr/bin/python3 -B
"""Prints what on this machine is no longer as the program's commands have left it.

    drift.py        [{"resource": "nginx-config", "what": "/etc/nginx/nginx.conf is gone"}, …]

{"email": …, "password": …} of the administrator may be on standard input, and is compared, too.
Only reads. A resource is a command of the program; what no command has declared is no drift. Each
command remembers what it did in a folder of its own: `files`, a line `MODE SHA256 PATH` for each
file that it installed, `model`, which model it pulled, and `unfinished`, until it has done so.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import model

INSTALLED = Path("/etc/ollamazure/installed")
FIREWALL = "/etc/ollamazure/firewall.nft"
LIST_FIREWALL = ["nft", "list", "table", "inet", "ollamazure"]
WEBUI = "/usr/local/lib/ollamazure/webui.py"
UNITS = (Path("/etc/systemd/system"), Path("/etc/containers/systemd"))


class Installed(NamedTuple):
    """A file as it was installed; root owns it."""

    mode: str
    sha256: str
    path: Path


def main() -> int:
    found = [
        {"resource": folder.name, "what": what}
        for folder in sorted(INSTALLED.iterdir())
        for what in drift_of(folder)
    ]
    admin = sys.stdin.read()
    if is_active("open-webui.service"):
        found += asked_of_webui("drift")
        found += asked_of_webui("drift-of-admin", admin) if admin else []
    json.dump(found, sys.stdout)
    return 0


def drift_of(folder: Path) -> Iterator[str]:
    """What differs from what one command has left."""
    if (folder / "unfinished").exists():
        yield "its last run did not finish"
    for file in files_of(folder):
        yield from drift_of_file(file)
        if file.path.parent in UNITS:
            yield from drift_of_unit(file.path)
        if str(file.path) == FIREWALL:
            yield from drift_of_firewall()
    pulled = folder / "model"
    if pulled.exists():
        yield from drift_of_model(**json.loads(pulled.read_text()))


def files_of(folder: Path) -> list[Installed]:
    lines = (folder / "files").read_text().splitlines()
    words = [line.split(" ", 2) for line in lines]
    return [Installed(mode, sha256, Path(path)) for mode, sha256, path in words]


def drift_of_file(file: Installed) -> Iterator[str]:
    try:
        content, there = file.path.read_bytes(), file.path.stat()
    except FileNotFoundError:
        yield f"{file.path} is gone"
        return
    if hashlib.sha256(content).hexdigest() != file.sha256:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(there.st_mtime))
        yield f"{file.path} was changed ({when})"
    mode, owner = f"{there.st_mode & 0o7777:04o}", there.st_uid
    if (mode, owner) != (file.mode, 0):
        yield f"{file.path} has mode {mode} and owner {owner}, declared are {file.mode} and 0"


def drift_of_unit(path: Path) -> Iterator[str]:
    """Whether what the unit file stands for runs, and will after a restart of the machine."""
    unit = unit_of(path)
    if unit is None:
        return
    if not is_active(unit):
        yield f"{unit} is not active"
        return
    if said(["systemctl", "is-enabled", unit]) in ("disabled", "masked"):
        yield f"{unit} does not start with the machine"
    for override in said(["systemctl", "show", "--property=DropInPaths", "--value", unit]).split():
        if override.startswith("/etc/"):
            yield f"{unit} is changed by {override}, which `systemctl revert {unit}` takes away"
    if path.suffix == ".container" and path.exists():
        running = image(path.stem)
        if f"Image={running}" not in path.read_text().splitlines():
            yield f"{unit} runs the image {running}"


def unit_of(path: Path) -> str | None:
    """The systemd unit of a file: Podman makes one from each of its own."""
    names = {
        ".service": path.name,
        ".container": f"{path.stem}.service",
        ".network": f"{path.stem}-network.service",
    }
    return names.get(path.suffix)


def is_active(unit: str) -> bool:
    return state(unit) == "active"


def state(unit: str) -> str:
    """In systemd's word: active, activating, failed, inactive."""
    return said(["systemctl", "is-active", unit])


def image(container: str) -> str:
    """The image of a container that runs; empty where it does not."""
    return said(["podman", "inspect", "--format", "{{.ImageName}}", container])


def drift_of_firewall() -> Iterator[str]:
    """The table in the kernel against the file, read by the kernel in a network of its own."""
    loaded = said(LIST_FIREWALL)
    load_and_list = f"nft --file {FIREWALL} && {shlex.join(LIST_FIREWALL)}"
    declared = said(["unshare", "--net", "sh", "-c", load_and_list])
    if not loaded:
        yield "the firewall is not loaded"
    elif loaded != declared:
        yield f"the firewall in force is not the one of {FIREWALL}"


def drift_of_model(name: str, digest: str) -> Iterator[str]:
    try:
        present = model.digest(name)
    except model.OllamaError as error:
        yield f"Ollama cannot be asked for {name}: {error}"
        return
    if present is None:
        yield f"the model {name} is gone"
    elif present != digest:
        yield f"{name} is another model than was pulled"


def asked_of_webui(question: str, text: str = "") -> list[dict[str, str]]:
    """What Open WebUI's own tool finds in the application."""
    asked = subprocess.run(
        [WEBUI, question], input=text, capture_output=True, text=True, check=False
    )
    if asked.returncode:
        what = f"Open WebUI cannot be asked: {asked.stderr.strip()}"
        return [{"resource": "open-webui-settings", "what": what}]
    found: list[dict[str, str]] = json.loads(asked.stdout)
    return found


def said(command: list[str]) -> str:
    """What a command prints, whatever its exit code."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
