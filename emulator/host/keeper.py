"""Keeps a machine on, as a hypervisor does: a reboot from inside ends its container.

python -m emulator.host.keeper HOME VM-ID CONTAINER

Podman's own restart policy is not used: if a container's control group is still busy when the
container ends, the runtime keeps a record of it, and every later restart fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emulator.azure.fabric import FabricError
from emulator.host.fabric import HostFabric
from emulator.host.namespace import Podman
from emulator.host.places import Places
from emulator.instance import Instance

# systemd ends with the signal that the kernel gives for `poweroff` (SIGINT) in a container; for
# `reboot` it is SIGHUP.
POWERED_OFF = 128 + 2


def main() -> None:
    home, vm_id, container = sys.argv[1:]
    instance = Instance.open(Path(home))
    podman, fabric = Podman(Places(instance)), HostFabric(instance)
    while (ended := wait_for_exit(podman, container)) != POWERED_OFF:
        print(f"{container} ended with {ended}; switching it on again", flush=True)
        fabric.revive(vm_id, lambda text: print(text, flush=True))
    print(f"{container} was powered off from inside", flush=True)


def wait_for_exit(podman: Podman, container: str) -> int | None:
    """Wait for the container's end; returns its exit code, or None if there is no container."""
    try:
        return int(podman("wait", container))
    except (FabricError, ValueError):
        return None


if __name__ == "__main__":
    main()
