#!/usr/bin/python3 -B
"""Keeps the DNS of the containers' network (aardvark-dns) running.

Nginx finds Open WebUI by its name, and Open WebUI finds other servers. Podman starts aardvark-dns
with a container and never looks at it again. So ollamazure-container-dns.service queries it every
two seconds. When it is dead or hangs, systemd runs this program again, because the service itself
may not start anything: `podman network reload` starts the DNS, and no container restarts.

    container_dns.py            queries the DNS until it is stopped
    container_dns.py restart    starts the DNS again
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

# Netavark writes here a file for each network with running containers, and the process id.
STATE = Path("/run/containers/networks/aardvark-dns")
NETWORK = STATE / "mynet"
PID = STATE / "aardvark.pid"
ADDRESS = ("10.89.0.1", 53)
# Its own domain: it passes no such query on, so its answer depends on no other server.
NAME = "open-webui.dns.podman"
EVERY = 2  # seconds
PATIENCE = 5  # seconds, for one answer: a busy machine is slow
MISSES = 2  # in a row, until it is started again
# A unit of its own, and what it starts outlives it.
RESTART = [
    "systemd-run",
    "--quiet",
    "--collect",
    "--property=KillMode=process",
    __file__,
    "restart",
]


def main(arguments: list[str]) -> int:
    if arguments == ["restart"]:
        restart()
        return 0
    misses = 0
    while True:
        time.sleep(EVERY)
        misses = 0 if is_well() else misses + 1
        if misses == MISSES:
            print("aardvark-dns does not answer; starting it again.", file=sys.stderr, flush=True)
            subprocess.run(RESTART, check=False)
            misses = 0


def is_well() -> bool:
    """Whether the DNS answers, or no container needs it."""
    return not containers() or answers(ADDRESS)


def containers() -> list[str]:
    """The ids of the containers in the network; the first line of the file is the address."""
    try:
        return [line.split()[0] for line in NETWORK.read_text().splitlines()[1:] if line.strip()]
    except FileNotFoundError:
        return []


def answers(address: tuple[str, int]) -> bool:
    """Whether a DNS server answers a query of type A; any answer counts."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split("."))
    query = struct.pack("!6H", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0)
    query += labels + b"\0" + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(PATIENCE)
        try:
            channel.connect(address)
            channel.send(query)
            return channel.recv(512)[:2] == query[:2]
        except OSError:
            return False


def restart() -> None:
    """Start it again; kill a process that hangs, because Podman would take it for well."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(PID.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "aardvark-dns":
            os.kill(pid, signal.SIGKILL)
    # One container is enough: aardvark-dns reads the files of all of them.
    for container in containers()[:1]:
        subprocess.run(
            ["podman", "network", "reload", container], stdout=subprocess.DEVNULL, check=False
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
