#!/usr/bin/python3 -B
"""Prints what on this machine differs from what the program's commands set up; only reads.

    drift.py        [{"resource": "nginx-config", "what": "/etc/nginx/nginx.conf is missing"}, …]

{"email": …, "password": …} of the administrator may be on standard input, and is checked, too. A
resource is a command of the program; what no command declared is no drift. Each command has a
folder with its record: `manifest.json` (ollamazure/manifest.py), `secret-files` with a line
`SHA256  PATH` for each file that holds a secret, `model` with the model that it pulled, and
`unfinished` until it has finished.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import model
from disks import DATA

INSTALLED = Path("/etc/ollamazure/installed")
AUTHORIZED_KEY = Path("/etc/ollamazure/authorized-key")
CERTIFICATE = Path("/etc/nginx/cert/server.pem")
FIREWALL = "/etc/ollamazure/firewall.nft"
LIST_FIREWALL = ["nft", "list", "table", "inet", "ollamazure"]
# What a command with this file installs, in case the first boot did not, or it was removed by hand.
PROGRAMS = {
    FIREWALL: ("curl", "nft", "podman", "zstd", "/usr/lib/podman/aardvark-dns"),
    "/etc/ollamazure/backup.json": ("restic",),
    "/etc/ollamazure/acme.json": ("certbot",),
    "/etc/systemd/system/ollamazure-node-exporter.service": ("prometheus-node-exporter",),
}
WEBUI = "/usr/local/lib/ollamazure/webui-cli"
UNITS = (Path("/etc/systemd/system"), Path("/etc/containers/systemd"))


class Installed(NamedTuple):
    """A file as a command installed it; root owns it."""

    mode: str
    sha256: str | None
    path: Path


def main() -> int:
    found = [
        {"resource": folder.name, "what": what}
        for folder in sorted(INSTALLED.iterdir())
        for what in drift_of(folder)
    ]
    found += [{"resource": "ssh-key", "what": what} for what in drift_of_authorized_keys()]
    found += [{"resource": "nginx-certificate", "what": what} for what in drift_of_certificate()]
    admin = sys.stdin.read()
    if is_active("open-webui.service"):
        found += drift_of_webui("drift")
        found += drift_of_webui("drift-of-admin", admin) if admin else []
    json.dump(found, sys.stdout)
    return 0


def drift_of(folder: Path) -> Iterator[str]:
    """What differs from the record of one command."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        purpose, files = manifest["purpose"], files_of(manifest, folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield (
            f"{folder}/manifest.json cannot be read ({error!r}), so this command cannot be checked;"
            " `pulumi up` writes it, unless the stack no longer has the command"
        )
        return
    if (folder / "unfinished").exists():
        yield f"the last run of the command to {purpose} did not finish"
    for file in files:
        yield from drift_of_file(file)
        if file.path.parent in UNITS:
            yield from drift_of_unit(file.path)
        yield from drift_of_programs(str(file.path))
        if str(file.path) == FIREWALL:
            yield from drift_of_firewall()
            yield from drift_of_data_disk()
    pulled = folder / "model"
    if pulled.exists():
        yield from drift_of_model(**json.loads(pulled.read_text()))


def files_of(manifest: dict[str, Any], folder: Path) -> list[Installed]:
    """The files of a manifest. Only the machine has the digests of files that hold a secret."""
    secrets = [line.split("  ", 1) for line in (folder / "secret-files").read_text().splitlines()]
    digests = {path: sha256 for sha256, path in secrets}
    return [
        Installed(file["mode"], file["sha256"] or digests.get(file["path"]), Path(file["path"]))
        for file in manifest["files"]
    ]


def drift_of_file(file: Installed) -> Iterator[str]:
    try:
        content, status = file.path.read_bytes(), file.path.stat()
    except FileNotFoundError:
        yield f"{file.path} is missing"
        return
    if hashlib.sha256(content).hexdigest() != file.sha256:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(status.st_mtime))
        yield f"{file.path} was changed ({when})"
    mode, owner = f"{status.st_mode & 0o7777:04o}", status.st_uid
    if (mode, owner) != (file.mode, 0):
        yield f"{file.path} has mode {mode} and owner {owner}, declared are {file.mode} and 0"


def drift_of_data_disk() -> Iterator[str]:
    if not DATA.is_mount():
        yield f"{DATA} is not mounted"


def drift_of_programs(file: str) -> Iterator[str]:
    """Whether the machine has the programs of Debian that the command with this file installs."""
    for program in PROGRAMS.get(file, ()):
        if shutil.which(program) is None:
            yield f"the program {program} is missing"


def drift_of_authorized_keys() -> Iterator[str]:
    """Whether the operators' key, and no other one, may sign in by SSH."""
    if not AUTHORIZED_KEY.exists():  # from an earlier version of this program
        return
    user, declared = AUTHORIZED_KEY.read_text().split(maxsplit=1)
    path = home_of(user) / ".ssh/authorized_keys"
    lines = path.read_text().splitlines() if path.exists() else []
    keys = [line for line in lines if line.strip() and not line.startswith("#")]
    if not any(declared.strip() in key for key in keys):
        yield f"{path} does not have the operators' key"
    for key in keys:
        if declared.strip() not in key:
            yield f"{path} has another key: {key.split(maxsplit=2)[-1]}"


def drift_of_certificate() -> Iterator[str]:
    """Whether the certificate has expired, because what renews it did not."""
    check = ["openssl", "x509", "-checkend", "0", "-noout", "-in", str(CERTIFICATE)]
    if CERTIFICATE.exists() and not succeeds(check):
        yield f"the certificate {CERTIFICATE} has expired: `bin/ollamazure status` shows the fix"


def home_of(user: str) -> Path:
    return Path(f"~{user}").expanduser()


def drift_of_unit(path: Path) -> Iterator[str]:
    """Whether the unit of a file runs, and starts again after a restart of the machine."""
    unit = unit_of(path)
    if unit is None:
        return
    if path.exists():
        yield from drift_of_podman(path)
    if not is_active(unit):
        yield f"{unit} is not active"
        return
    if output_of(["systemctl", "is-enabled", unit]) in ("disabled", "masked"):
        yield f"{unit} does not start with the machine"
    drop_ins = ["systemctl", "show", "--property=DropInPaths", "--value", unit]
    for override in output_of(drop_ins).split():
        if override.startswith("/etc/"):
            yield f"{unit} is changed by {override}, which `systemctl revert {unit}` removes"
    if path.suffix == ".container" and path.exists():
        running = image_of(path.stem)
        if running != name_of_container(declared_image(path)):
            yield f"{unit} runs the image {running}"


def drift_of_podman(path: Path) -> Iterator[str]:
    """Whether Podman has the network or the image of a file; `podman system prune` removes both."""
    if not DATA.is_mount():
        return  # Podman would make folders for its images on the system disk
    if path.suffix == ".network" and not succeeds(["podman", "network", "exists", path.stem]):
        yield f"the network {path.stem} is missing"
    if path.suffix == ".container":
        image = declared_image(path)
        if not succeeds(["podman", "image", "exists", image]):
            yield f"the image {image} is missing"


def declared_image(path: Path) -> str:
    """The image in a container's file; empty if there is none."""
    text = path.read_text() if path.exists() else ""
    found = re.search(r"^Image=(.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def name_of_container(image: str) -> str:
    """How Podman names the image of a container: of TAG@DIGEST it keeps the digest alone."""
    return re.sub(r":[^:@/]+@", "@", image)


def unit_of(path: Path) -> str | None:
    """The systemd unit of a file that is always active: Podman makes one from each of its own.

    A service of the type oneshot only works now and then: a timer or udev starts it.
    """
    lines = path.read_text().splitlines() if path.exists() else []
    if "Type=oneshot" in lines and "RemainAfterExit=yes" not in lines:
        return None
    names = {
        ".timer": path.name,
        ".service": path.name,
        ".container": f"{path.stem}.service",
        ".network": f"{path.stem}-network.service",
    }
    return names.get(path.suffix)


def is_active(unit: str) -> bool:
    return state_of(unit) == "active"


def state_of(unit: str) -> str:
    """The state of a unit in systemd's words: active, activating, failed, inactive."""
    return output_of(["systemctl", "is-active", unit])


def image_of(container: str) -> str:
    """The image of a container; empty if it does not run."""
    if not DATA.is_mount():
        return ""  # as in drift_of_podman
    return output_of(["podman", "inspect", "--format", "{{.ImageName}}", container])


def drift_of_firewall() -> Iterator[str]:
    """Whether the table in the kernel is that of the file, loaded in a network of its own."""
    loaded = declared_part(output_of(LIST_FIREWALL))
    load_and_list = f"nft --file {FIREWALL} && {shlex.join(LIST_FIREWALL)}"
    declared = output_of(["unshare", "--net", "sh", "-c", load_and_list])
    if not loaded:
        yield "the firewall is not loaded"
    elif loaded != declared:
        yield f"the active firewall differs from {FIREWALL}"


def declared_part(listed: str) -> str:
    """A table without the addresses that the kernel adds to its dynamic sets."""
    return re.sub(r"(flags dynamic[^}]*?)\t\telements = \{[^}]*\}\n", r"\1", listed)


def drift_of_model(name: str, digest: str) -> Iterator[str]:
    try:
        present = model.digest(name)
    except model.OllamaError as error:
        yield f"Ollama does not list {name}: {error}"
        return
    if present is None:
        yield f"the model {name} is missing"
    elif present != digest:
        yield f"{name} is not the model that was pulled"


def drift_of_webui(command: str, text: str = "") -> list[dict[str, str]]:
    """What the tool for Open WebUI finds in the application."""
    done = subprocess.run([WEBUI, command], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        what = f"Open WebUI cannot be checked: {done.stderr.strip()}"
        return [{"resource": "open-webui-settings", "what": what}]
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def succeeds(command: list[str]) -> bool:
    """Whether a command ends with exit code 0; its output is dropped."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def output_of(command: list[str]) -> str:
    """The output of a command, whatever its exit code; nothing without the program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
