#!/usr/bin/python3 -B
"""The state of this machine.

    status.py           prints it as JSON, with what needs attention
    status.py report    reports to the webhook what has changed since the last time: webhook.py

It only reads, and only on the machine itself. Of the stack it knows what is on standard input, a
JSON object: {"stack": NAME, "certificateMode": …, "caCertificate": …, "dataDiskGiB": …,
"daysBetweenBackups": …}. For a report, the settings of the webhook have the same.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import acme_client
import container_dns
import model
import webhook
from backup import state
from backup.places import DataPlaces
from disks import DATA, SYSTEM, usage_of
from drift import UNITS, declared_image, image_of, is_active, name_of_container, output_of, state_of
from findings import Checks, MachineFinding

CERTIFICATE = "/etc/nginx/cert/server.pem"
CONTAINERS = ("open-webui", "nginx")
NGINX = "10.89.0.10"  # as guest/etc/containers/systemd/nginx.container.j2 fixes it
ANSWERS_WITHIN = 30  # seconds
# Written by Debian's unattended-upgrades when a new kernel waits for a restart, with the packages.
REBOOT_REQUIRED = Path("/run/reboot-required")
REBOOT_PACKAGES = Path("/run/reboot-required.pkgs")
# Failed units that have a finding of their own.
NAMED_OTHERWISE = {
    "ollamazure-backup.service",
    *(f"{name}.service" for name in ("ollama", *CONTAINERS)),
}
# What systemd, Ollama and sitecustomize.py log when a model ends in the middle of its work.
OUT_OF_MEMORY = "killed by the OOM killer|signal: killed"
BROKEN_OFF = "Ollama broke off an answer"
DAY = 24 * 3600


def main(arguments: list[str]) -> int:
    if arguments == ["report"]:
        webhook.report(findings_to_report)
        return 0
    given = "" if sys.stdin.isatty() else sys.stdin.read()
    json.dump(status(json.loads(given or "{}")), sys.stdout)
    return 0


def status(stack: Mapping[str, Any]) -> dict[str, Any]:
    """The state, with what only people look at: sizes in bytes, times in seconds since 1970."""
    facts = facts_of(stack)
    for each in facts["services"]:
        if each["name"] in CONTAINERS:
            each["version"] = version_of(each["name"])
    known = {"stack": "NAME", "certificateMode": "selfSigned", **stack}
    return {
        **facts,
        "findings": [asdict(finding) for finding in Checks(facts, known).findings()],
        "debian": Path("/etc/debian_version").read_text().strip(),
        "kernel": os.uname().release,
        "load": os.getloadavg()[1],
        "processors": os.cpu_count(),
        "memory": memory(Path("/proc/meminfo").read_text()),
        "kept_certificate": acme_client.kept_certificate(),
        "reboot_pending": REBOOT_REQUIRED.exists(),
        "reboot_packages": reboot_packages(),
        "now": time.time(),  # last: the operator's computer compares it with its own clock
    }


def facts_of(stack: Mapping[str, Any]) -> dict[str, Any]:
    """What findings.py judges."""
    ollama = read_ollama()
    return {
        "booted": booted(),
        "data_disk": data_disk(),
        "system_disk": usage_of(SYSTEM),
        "services": [
            service("ollama", ollama["version"]),
            *(service(name) for name in CONTAINERS),
        ],
        "failed_units": failed_units(),
        "container_dns": container_dns.is_well(),
        "models": ollama["models"],
        "loaded": ollama["loaded"],
        "declared_models": model.declared(),
        **certificate_dates(),
        "authority_ends": authority_ends(stack),
        "acme": acme_client.status(),
        "backup": state.status(DataPlaces()),
        "webhook": webhook.status(),
        "ended_models": ended_models(),
        "now": time.time(),
    }


def findings_to_report(stack: Mapping[str, Any]) -> tuple[list[MachineFinding], float]:
    """What needs attention, and when the machine booted.

    The chat is asked here, which an operator's computer does itself, from outside.
    """
    facts = facts_of(stack)
    findings = Checks(facts, stack).findings()
    if not is_chat_up(urlsplit(stack["url"]).hostname or ""):
        fix = f"`bin/ollamazure status --stack {stack['stack']}` shows why."
        findings.append(MachineFinding("chat", "The chat does not answer.", fix))
    return findings, facts["booted"]


def is_chat_up(host: str) -> bool:
    """Whether the chat answers through Nginx. The certificate is judged by its dates."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(NGINX, timeout=ANSWERS_WITHIN, context=context)
    try:
        connection.request("GET", "/health", headers={"Host": host})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def failed_units() -> list[str]:
    """The units that have failed. One without a file is of a trial that ended."""
    listed = output_of(["systemctl", "list-units", "--state=failed", "--output=json"])
    units = [each["unit"] for each in json.loads(listed or "[]") if each["load"] == "loaded"]
    return sorted({*units} - NAMED_OTHERWISE)


def reboot_packages() -> list[str]:
    """The packages that ask for a restart."""
    found = REBOOT_PACKAGES.read_text().split() if REBOOT_PACKAGES.exists() else []
    return sorted({*found})


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


def service(name: str, version: str | None = None) -> dict[str, str | None]:
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
    dates = dates_in(output_of(["openssl", "x509", "-in", CERTIFICATE]))
    names = {"certificate_starts": "notBefore", "certificate_ends": "notAfter"}
    return {name: dates.get(field) for name, field in names.items()}


def authority_ends(stack: Mapping[str, Any]) -> str | None:
    """Until when devices can trust the stack's authority; None if another one signs."""
    if stack.get("certificateMode") != "selfSigned":
        return None
    return dates_in(stack.get("caCertificate") or "").get("notAfter")


def dates_in(pem: str) -> dict[str, str]:
    """notBefore and notAfter of a certificate, as openssl prints them; none if it is no PEM."""
    command = ["openssl", "x509", "-noout", "-dates", "-dateopt", "iso_8601"]
    done = subprocess.run(command, input=pem, capture_output=True, text=True, check=False)
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
