"""Removes everything that an instance has on this host, in whatever state it is.

    python -m emulator.host.teardown

Things are found by the instance's prefix and folders, not by records of a former run, so everything
is found even after a run that was killed at any moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator.azure.fabric import FabricError
from emulator.host import disks
from emulator.host.commands import remove_folder, run, wait_until
from emulator.host.namespace import CGROUP, Podman, remove_group
from emulator.host.network import namespaces, remove_link, remove_namespace
from emulator.host.places import Places
from emulator.host.processes import MARK
from emulator.instance import PREFIX, RUN, Instance


def remove(instance: Instance) -> None:
    """Remove the instance's machines, networks, disks and helpers. Safe to repeat.

    Raises FabricError naming what could not be removed.
    """
    places = Places(instance)
    podman = Podman(places)
    _end_processes(places)  # a keeper would start its machine again
    if podman.storage.exists():
        # This fails for a container without its conmon; the steps below do not need it.
        podman.succeeds("rm", "--all", "--force", "--time", "0")
    take_down(places)
    for folder in _folders(places):
        remove_folder(folder)
    if left := verify_clean(instance):
        raise FabricError(
            "InternalExecutionError",
            f"Not all of the emulated Azure in {instance.home} could be removed: "
            f"{', '.join(left)}. Run the same command again; a reboot frees what is still in use.",
        )


def dead_instances() -> list[Instance]:
    """The instances whose homes no longer exist, but which have left something on this host."""
    names = [*namespaces(), *_all_links(), *_tables(), *(group.name for group in _groups_of("*"))]
    found = (re.match(rf"{PREFIX}-([0-9a-f]{{6}})(-|$)", name) for name in names)
    ids = {match[1] for match in found if match}
    return [Instance.dead(id_) for id_ in sorted(ids - Instance.ids())]


def remove_dead() -> list[str]:
    """Remove what dead instances have left; returns it in words. Raises FabricError.

    Two processes that remove the same would fail, so the second waits.
    """
    with (RUN / "dead.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = []
        for instance in dead_instances():
            left += verify_clean(instance)
            remove(instance)
        return left


def take_down(places: Places) -> None:
    """Remove what exists only in the kernel, as a reboot of the host would."""
    _end_processes(places)
    for link in _links(places):
        remove_link(link)
    for namespace in _namespaces(places):
        remove_namespace(namespace)
    if _has_table(places):
        run(["nft", "delete", "table", "ip", places.host_table])
    for device in disks.attached_below(places.instance.home).values():
        disks.detach_device(device)
    for group in _groups(places):
        remove_group(group)
    with contextlib.suppress(OSError):
        (CGROUP / "unified/libpod_parent").rmdir()  # another instance may still use it
    Podman(places).remove()
    for mount in reversed(_mounts(places)):
        run(["umount", mount])


def verify_clean(instance: Instance) -> list[str]:
    """What is left of the instance on this host, in words; empty after `remove`."""
    places = Places(instance)
    found: dict[str, Sequence[object]] = {
        "network namespace": _namespaces(places),
        "network link": _links(places),
        "nftables table": [places.host_table] if _has_table(places) else [],
        "loop device": list(disks.attached_below(instance.home).values()),
        "control group": _groups(places),
        "mount": _mounts(places),
        "process": [f"{pid} ({program})" for pid, program in stray_processes(places).items()],
        "folder": [folder for folder in _folders(places) if folder.exists()],
    }
    return [f"{kind} {thing}" for kind, things in found.items() for thing in things]


def _namespaces(places: Places) -> list[str]:
    return sorted(name for name in namespaces() if name.startswith(f"{places.instance.prefix}-"))


def _links(places: Places) -> list[str]:
    prefix = f"{places.instance.prefix}-"
    return [name for name in _all_links() if name.startswith(prefix)]


def _all_links() -> list[str]:
    return [link["ifname"] for link in json.loads(run(["ip", "-j", "link", "show"]))]


def _has_table(places: Places) -> bool:
    return places.host_table in _tables()


def _tables() -> list[str]:
    listed = json.loads(run(["nft", "-j", "list", "tables"]))["nftables"]
    return [entry["table"]["name"] for entry in listed if "table" in entry]


def _groups(places: Places) -> list[Path]:
    return _groups_of(places.instance.id)


def _groups_of(id_: str) -> list[Path]:
    return sorted(CGROUP.glob(f"*/{PREFIX}-{id_}-*"))


def _mounts(places: Places) -> list[str]:
    """Mount points in the instance's folders."""
    mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    roots = (*_folders(places), places.instance.home)
    return [mount for mount in mounts if any(Path(mount).is_relative_to(root) for root in roots)]


def stray_processes(places: Places) -> dict[int, str]:
    """Pid -> program of everything that runs for the instance.

    Helpers are found by the mark in their environment, Podman's processes by its storage folder,
    and the processes of a machine by its network namespace.
    """
    mark = f"{MARK}={places.instance.id}".encode()
    storage = f"{Podman(places).storage}/".encode()
    inside = {
        pid for name in _namespaces(places) for pid in run(["ip", "netns", "pids", name]).split()
    }
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile, or belongs to the kernel
        program = command.partition(b"\0")[0].decode(errors="replace")
        of_podman = Path(program).name in ("conmon", "podman", "crun") and storage in command
        if of_podman or mark in environment or process.name in inside:
            found[int(process.name)] = program
    return found


def _end_processes(places: Places) -> None:
    """Kill them all, and also those that start meanwhile."""

    def all_ended() -> bool:
        for pid in stray_processes(places):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not stray_processes(places)

    wait_until(all_ended, 20)


def _folders(places: Places) -> list[Path]:
    storage = (Podman(places).storage, places.blobs)
    return [places.state, places.disks, places.machines, *storage, places.run]


def main() -> None:
    try:
        remove(Instance.open())
    except FabricError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
