"""The memory and the processor time of each part of the machine.

    python3 parts.py </dev/null

It prints one line of JSON: for each part `mib` (proportional set size, so that shared pages count
once), `highest_mib` (the most that its largest process ever had) and `seconds` of processor time,
also of processes that have ended. Parts are `Ollama`, `model` (the program that runs it),
`Open WebUI`, `Nginx`, `reference` (the container that a benchmark compares with, if it runs),
`Podman` (what starts and watches the containers) and `system`. Processes of SSH sessions and this
one are left out. Only Python's own library is used.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONTAINERS = {"open-webui": "Open WebUI", "nginx": "Nginx", "reference": "reference"}
PODMAN = ("podman", "conmon", "netavark", "aardvark-dns")
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    processes = dict(read_all())
    children: dict[int, list[int]] = {}
    for number, process in processes.items():
        children.setdefault(process["parent"], []).append(number)
    part: dict[int, str | None] = dict.fromkeys(processes, "system")
    # All of a session, this program and the user's systemd among it; the server that waits for
    # sessions stays.
    for number, process in processes.items():
        is_systemd = process["name"] == "systemd" and "--user" in process["command"]
        if is_systemd or process["name"].startswith("sshd-session"):
            mark(part, children, number, None)
    mark(part, children, os.getpid(), None)
    mark(part, children, main_process("ollama"), "Ollama")
    for number, process in processes.items():
        if part.get(number) == "Ollama" and "llama-server" in process["name"] + process["command"]:
            mark(part, children, number, "model")
    for container, name in CONTAINERS.items():
        mark(part, children, main_process(container), "Podman")  # conmon
        mark(part, children, first_process(container), name)
    for number, process in processes.items():
        if part[number] == "system" and process["name"] in PODMAN:
            part[number] = "Podman"
    found: dict[str, dict[str, float]] = {}
    for number, process in processes.items():
        its_part = part[number]
        if its_part is None:
            continue
        one = found.setdefault(its_part, {"mib": 0, "highest_mib": 0, "seconds": 0})
        one["mib"] += process["pss"] / 1024
        one["highest_mib"] = max(one["highest_mib"], process["highest"] / 1024)
        one["seconds"] += process["ticks"] / TICKS
    print(json.dumps(found))


def mark(
    part: dict[int, str | None], children: dict[int, list[int]], number: int, name: str | None
) -> None:
    """Give a process and all that it started to a part."""
    if number not in part:
        return
    part[number] = name
    for child in children.get(number, []):
        mark(part, children, child, name)


def read_all() -> Iterator[tuple[int, dict[str, Any]]]:
    """The processes in /proc; the kernel's own have no memory."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
            rollup = (folder / "smaps_rollup").read_text()
            status = (folder / "status").read_text()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            continue
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        fields = stat.rpartition(")")[2].split()
        yield (
            int(folder.name),
            {
                "parent": int(fields[1]),
                "name": name,
                "command": command,
                "ticks": sum(map(int, fields[11:15])),
                "pss": field(rollup, "Pss"),
                "highest": field(status, "VmHWM"),
            },
        )


def field(text: str, name: str) -> int:
    """A number in KiB from a file of /proc; 0 if it has none."""
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def main_process(unit: str) -> int:
    return int(output("systemctl", "show", "--property", "MainPID", "--value", unit) or 0)


def first_process(container: str) -> int:
    return int(output("podman", "inspect", "--format", "{{.State.Pid}}", container) or 0)


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    main()
