#!/usr/bin/python3 -B
"""Prints the state of this machine as JSON; only reads, and only on the machine itself."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import acme_client
import container_dns
import model
from backup import state
from backup.places import DataPlaces
from disks import DATA, SYSTEM, usage_of
from drift import UNITS, declared_image, image_of, is_active, name_of_container, output_of, state_of

CERTIFICATE = "/etc/nginx/cert/server.pem"
CONTAINERS = ("open-webui", "nginx")
# Written by Debian's unattended-upgrades when a new kernel waits for a restart.
REBOOT_REQUIRED = Path("/run/reboot-required")
# What systemd, Ollama and sitecustomize.py log when a model ends in the middle of its work.
OUT_OF_MEMORY = "killed by the OOM killer|signal: killed"
BROKEN_OFF = "Ollama broke off an answer"
DAY = 24 * 3600


def main() -> int:
    json.dump(status(), sys.stdout)
    return 0


def status() -> dict[str, Any]:
    """The state: sizes in bytes, times in seconds since 1970."""
    ollama = read_ollama()
    return {
        "booted": booted(),
        "load": os.getloadavg()[1],
        "processors": os.cpu_count(),
        "memory": memory(Path("/proc/meminfo").read_text()),
        "data_disk": data_disk(),
        "system_disk": usage_of(SYSTEM),
        "services": [
            service("ollama", ollama["version"]),
            *(service(name, version_of(name)) for name in CONTAINERS),
        ],
        "container_dns": container_dns.is_well(),
        "models": ollama["models"],
        "loaded": ollama["loaded"],
        **certificate_dates(),
        "acme": acme_client.status(),
        "kept_certificate": acme_client.kept_certificate(),
        "backup": state.status(DataPlaces()),
        "reboot_pending": REBOOT_REQUIRED.exists(),
        "ended_models": ended_models(),
        "now": time.time(),  # last: the operator's computer compares it with its own clock
    }


def booted() -> int:
    """When systemd started."""
    show = ["systemctl", "show", "--property=UserspaceTimestamp", "--timestamp=unix", "--value"]
    return int(output_of(show).removeprefix("@"))


def ended_models() -> dict[str, Any]:
    """How often a model ended in the middle of its work, in a day or since Ollama started.

    `last` is in seconds since 1970; `memory` is whether the kernel ended one.
    """
    since = max(time.time() - DAY, started("ollama.service"))
    journal = ["journalctl", "--quiet", "--output=json", "--output-fields=MESSAGE"]
    journal += ["--unit=ollama", "--unit=open-webui", f"--since=@{since:.0f}"]
    found = output_of([*journal, f"--grep={OUT_OF_MEMORY}|{BROKEN_OFF}"])
    lines = [json.loads(line) for line in found.splitlines()]
    return {
        "count": len(lines),
        "last": max((int(line["__REALTIME_TIMESTAMP"]) / 1e6 for line in lines), default=0),
        "memory": any(re.search(OUT_OF_MEMORY, str(line["MESSAGE"])) for line in lines),
    }


def started(unit: str) -> int:
    """When systemd started the unit, in seconds since 1970; 0 if it does not run."""
    show = ["systemctl", "show", "--property=ActiveEnterTimestamp", "--timestamp=unix", "--value"]
    return int(output_of([*show, unit]).removeprefix("@") or 0)


def memory(meminfo: str) -> dict[str, int]:
    """The total and the available memory of /proc/meminfo."""
    lines = dict(line.split(":") for line in meminfo.splitlines())
    kib = {name: int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    return {"total": kib["MemTotal"] * 1024, "free": kib["MemAvailable"] * 1024}


def data_disk() -> dict[str, Any] | None:
    return usage_of(DATA) if DATA.is_mount() else None


def service(name: str, version: str | None) -> dict[str, str | None]:
    return {"name": name, "state": state_of(f"{name}.service"), "version": version}


def version_of(container: str) -> str | None:
    """The image that a container runs, without its digest; None if it does not run."""
    running = image_of(container)
    declared = declared_image(UNITS[1] / f"{container}.container") if running else ""
    return declared.partition("@")[0] if running == name_of_container(declared) else running or None


def read_ollama() -> dict[str, Any]:
    """Version, models, and those in memory; None for each while Ollama does not run."""
    try:
        if is_active("ollama.service"):
            [version] = model.answers("/api/version", None, "GET")
            return {
                "version": version["version"],
                "models": names_at("/api/tags"),
                "loaded": names_at("/api/ps"),
            }
    except model.OllamaError as error:
        print(f"Ollama: {error}", file=sys.stderr)
    return {"version": None, "models": None, "loaded": None}


def names_at(path: str) -> list[str]:
    [answer] = model.answers(path, None, "GET")
    return sorted(str(listed["name"]) for listed in answer["models"])


def certificate_dates() -> dict[str, str | None]:
    """From when and until when the certificate of Nginx is valid: `2027-06-01 09:12:00Z`."""
    command = ["openssl", "x509", "-noout", "-dates", "-dateopt", "iso_8601"]
    shown = output_of([*command, "-in", CERTIFICATE]).splitlines()
    dates = dict(line.split("=", 1) for line in shown)
    names = {"certificate_starts": "notBefore", "certificate_ends": "notAfter"}
    return {name: dates.get(field) for name, field in names.items()}


if __name__ == "__main__":
    sys.exit(main())
