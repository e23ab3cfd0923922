"""Fifty users, ten groups, twenty presets and thirty prompts at once, on the emulated B2ms.

    python -m tools.benchmarks.people

Prints what one `pulumi up` with all of them takes, and the one after it, which changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.conftest import remove
from tests.e2e.deployment import PROJECT, Deployment
from tools.benchmarks import sampler

USERS, GROUPS, PRESETS, PROMPTS = 50, 10, 20, 30
# Within the project, where settings may name files, and out of what Git sees.
TEAM_FILE = Path(".emulator/people-benchmark.yaml")
RESULT = "/run/sampler.json"
ESTABLISHED = "01"  # in /proc/net/tcp


def main() -> None:
    with deployment() as azure:
        azure.pulumi("config", "set", "ollamazure:teamFile", str(TEAM_FILE))
        try:
            declare(azure.outputs["models"][0])
            first = measured(azure)
            second = measured(azure)
        finally:
            (PROJECT / TEAM_FILE).unlink(missing_ok=True)
    items = USERS + GROUPS + PRESETS + PROMPTS
    print(f"{'':34}{f'{items} items':>14}{'once more':>14}")
    for what, value in first.items():
        print(f"{what:34}{value:>14}{second[what]:>14}")


@contextmanager
def deployment() -> Iterator[Deployment]:
    """The stack `local`, running: of its own, or the one that is deployed already."""
    if home := os.environ.get("OLLAMAZURE_E2E_HOME"):
        azure = Deployment(Path(home).resolve())
        try:
            yield azure
        finally:
            azure.pulumi("config", "rm", "ollamazure:teamFile")
            azure.up()
        return
    with tempfile.TemporaryDirectory() as folder:
        azure = Deployment(Path(folder) / "emulator")
        try:
            azure.up()
            yield azure
        finally:
            remove(azure.home)


def declare(model: str) -> None:
    groups = [f"group {number}" for number in range(GROUPS)]

    def some(number: int) -> dict[str, Any]:
        """Every second is for everyone, the others for one group."""
        return {"access": {"groups": [groups[number % GROUPS]]}} if number % 2 else {}

    team = {
        "groups": [
            {
                "name": name,
                "description": f"The {number}th of them",
                "permissions": {"chat": {"file_upload": True}},
            }
            for number, name in enumerate(groups)
        ],
        "users": [
            {
                "email": f"user{number}@example.org",
                "name": f"User {number}",
                "groups": [groups[number % GROUPS], groups[(number + 3) % GROUPS]],
            }
            for number in range(USERS)
        ],
        "presets": [
            {
                "id": f"preset-{number}",
                "name": f"Preset {number}",
                "baseModel": model,
                "system": f"You are the assistant number {number}. " * 20,
                "params": {"temperature": 0.3, "top_k": 20},
                "suggestions": ["What can you do?", "Who made you?"],
                **some(number),
            }
            for number in range(PRESETS)
        ],
        "prompts": [
            {
                "command": f"prompt-{number}",
                "title": f"Prompt {number}",
                "content": "Sum up in five sentences: {{CLIPBOARD}} " * 20,
                **some(number),
            }
            for number in range(PROMPTS)
        ],
    }
    path = PROJECT / TEAM_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(team))


def measured(azure: Deployment) -> dict[str, str]:
    """What one `pulumi up` takes, here and on the machine."""
    watch(azure)
    since, begun = azure.ssh("date '+%Y-%m-%d %H:%M:%S'").output.strip(), time.monotonic()
    with counted_connections(azure) as most:
        ran = azure.up()
    seconds = time.monotonic() - begun
    azure.ssh("sudo systemctl stop sampler")
    seen = json.loads(azure.ssh(f"sudo cat {RESULT}").output)
    log = f"sudo journalctl --unit open-webui --since {shlex.quote(since)} --output cat"
    return {
        "seconds": f"{seconds:.0f}",
        "resources changed": str(changed(ran.output)),
        "SSH connections at once": str(max(most)),
        "sign-ins": azure.ssh(
            f"{log} | grep -c 'POST /api/v1/auths/signin' || true"
        ).output.strip(),
        "requests to Open WebUI": azure.ssh(f"{log} | grep -c HTTP/1.1 || true").output.strip(),
        "errors of Open WebUI (5xx)": azure.ssh(
            f"{log} | grep -cE 'HTTP/1.1\" 5[0-9]{{2}}' || true"
        ).output.strip(),
        "Open WebUI before, MiB": str(seen["before"]),
        "Open WebUI at its peak, MiB": str(seen["application"]),
        "all of the machine at its peak, MiB": str(seen["machine"]),
    }


def watch(azure: Deployment) -> None:
    program = Path(sampler.__file__).read_text()
    azure.ssh("sudo tee /run/sampler.py >/dev/null", stdin=program)
    azure.ssh(
        "sudo systemctl reset-failed sampler 2>/dev/null;"
        f" sudo systemd-run --quiet --collect --unit sampler python3 /run/sampler.py {RESULT}"
    )


@contextmanager
def counted_connections(azure: Deployment) -> Iterator[list[int]]:
    """How many SSH connections are open, again and again; counted where they are opened."""
    machine = f"{socket.inet_aton(azure.address)[::-1].hex().upper()}:{22:04X}"
    counts, ended = [0], threading.Event()

    def count() -> None:
        while not ended.wait(0.01):
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            counts.append(sum((row[2], row[3]) == (machine, ESTABLISHED) for row in rows))

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield counts
    finally:
        ended.set()
        counting.join()


def changed(output: str) -> int:
    """How many resources an `up` says that it made, updated, replaced or deleted."""
    return sum(map(int, re.findall(r"^ +[-+~]+ (\d+) \w+$", output, re.MULTILINE)))


if __name__ == "__main__":
    main()
