#!/usr/bin/python3 -B
"""Prints as JSON how this machine is: only reads, and asks nobody but the machine itself."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import model
from drift import image, is_active, said, state

DATA = Path("/srv/data")
CERTIFICATE = "/etc/nginx/cert/server.pem"
CONTAINERS = ("open-webui", "nginx")
# Written by Debian's unattended-upgrades when a new kernel waits for a restart.
REBOOT_REQUIRED = Path("/run/reboot-required")


def main() -> int:
    json.dump(status(), sys.stdout)
    return 0


def status() -> dict[str, Any]:
    """Sizes in bytes, moments in seconds since 1970."""
    ollama = asked_of_ollama()
    return {
        "booted": booted(),
        "load": os.getloadavg()[1],
        "processors": os.cpu_count(),
        "memory": memory(Path("/proc/meminfo").read_text()),
        "data_disk": data_disk(),
        "services": [
            service("ollama", ollama["version"]),
            *(service(name, image(name) or None) for name in CONTAINERS),
        ],
        "models": ollama["models"],
        "loaded": ollama["loaded"],
        "certificate_ends": certificate_ends(),
        "reboot_pending": REBOOT_REQUIRED.exists(),
    }


def booted() -> int:
    """When systemd took over."""
    show = ["systemctl", "show", "--property=UserspaceTimestamp", "--timestamp=unix", "--value"]
    return int(said(show).removeprefix("@"))


def memory(meminfo: str) -> dict[str, int]:
    """Of /proc/meminfo, what there is and what programs can still have."""
    lines = dict(line.split(":") for line in meminfo.splitlines())
    kib = {name: int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    return {"total": kib["MemTotal"] * 1024, "free": kib["MemAvailable"] * 1024}


def data_disk() -> dict[str, int] | None:
    if not DATA.is_mount():
        return None
    usage = shutil.disk_usage(DATA)
    return {"total": usage.total, "free": usage.free}


def service(name: str, version: str | None) -> dict[str, str | None]:
    return {"name": name, "state": state(f"{name}.service"), "version": version}


def asked_of_ollama() -> dict[str, Any]:
    """Version, models, and those in memory; nothing while it does not run."""
    try:
        if is_active("ollama.service"):
            [version] = model.answers("/api/version", None, "GET")
            return {
                "version": version["version"],
                "models": names("/api/tags"),
                "loaded": names("/api/ps"),
            }
    except model.OllamaError as error:
        print(f"Ollama: {error}", file=sys.stderr)
    return {"version": None, "models": None, "loaded": None}


def names(path: str) -> list[str]:
    [answer] = model.answers(path, None, "GET")
    return sorted(str(listed["name"]) for listed in answer["models"])


def certificate_ends() -> str | None:
    """Of the file that Nginx reads, for example `2027-06-01 09:12:00Z`."""
    command = ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601"]
    return said([*command, "-in", CERTIFICATE]).removeprefix("notAfter=") or None


if __name__ == "__main__":
    sys.exit(main())
