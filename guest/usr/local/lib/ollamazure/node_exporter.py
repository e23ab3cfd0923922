#!/usr/bin/python3 -B
"""Becomes Prometheus' node exporter, which listens on the machine's private address only.

node_exporter.py            becomes it
node_exporter.py address    prints where it listens
"""

from __future__ import annotations

import os
import socket
import sys

PROGRAM = "/usr/bin/prometheus-node-exporter"
PORT = 9100
WITHOUT = ("--no-collector.timex",)
"""Its system call can also set the clock, so the unit refuses it."""
ANYWHERE = ("192.0.2.1", 9)  # an address for documentation (RFC 5737)


def main(arguments: list[str]) -> int:
    address = f"{private_address()}:{PORT}"
    if arguments != ["address"]:
        options = [f"--web.listen-address={address}", *WITHOUT]
        os.execv(PROGRAM, [PROGRAM, *options])  # noqa: S606  no shell
    print(address)
    return 0


def private_address() -> str:
    """The address from which this machine reaches others. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect(ANYWHERE)
        return str(channel.getsockname()[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
