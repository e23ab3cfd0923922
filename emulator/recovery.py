"""Clean up after a run that was killed: its lock, and the operations that it had started.

Pulumi's file backend writes a lock file per run and notes each operation before it starts. A killed
run leaves both. The lock is removed if its process is gone; each operation that was under way is
settled by looking up what exists now.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator.instance import Instance


def recover(instance: Instance, pulumi: Callable[..., str], stack: str) -> None:
    """Make `stack` usable again if a former run was killed; do nothing otherwise.

    `pulumi` runs the CLI quietly and returns its standard output. While another run works on the
    stack, nothing is done: Pulumi itself refuses, and names who holds the lock.
    """
    if remove_dead_locks(instance, stack):
        return
    if _has_pending_operations(instance, stack):
        _say("a former run was interrupted; checking what it had started")
        exported = json.loads(pulumi("stack", "export", "--stack", stack))
        settled = settle(exported, instance)
        pulumi("stack", "import", "--stack", stack, stdin=json.dumps(settled))


def repair_backend(instance: Instance) -> None:
    """Remove checksum files that a killed run left half written.

    Pulumi's file backend replaces each state file in one step, but not the `.attrs` file with its
    checksum. After a truncated one every command fails with "EOF"; the backend works without it.
    """
    for beside in instance.backend.rglob("*.attrs"):
        try:
            json.loads(beside.read_text())
        except ValueError:
            _say(f"a former run was killed while it wrote {beside.stem}; fixing that")
            beside.unlink()


def state_file(instance: Instance, stack: str) -> Path | None:
    """The file in which Pulumi's backend keeps a stack; None if the stack does not exist."""
    return next(instance.backend.glob(f".pulumi/stacks/*/{stack}.json"), None)


def remove_dead_locks(instance: Instance, stack: str) -> bool:
    """Remove the locks of this host's processes that have ended; returns whether one is left."""
    left = False
    for lock in instance.backend.glob(f".pulumi/locks/**/{stack}/*.json"):
        try:
            owner = json.loads(lock.read_text())
        except (OSError, ValueError):
            owner = {}  # the run was killed while it wrote the lock
        host, process = owner.get("hostname", os.uname().nodename), owner.get("pid")
        if host != os.uname().nodename or _is_alive(process):
            left = True
        else:
            _say(f"removing the lock of a former run (process {process} is gone)")
            lock.unlink(missing_ok=True)
    return left


def settle(exported: dict[str, Any], instance: Instance) -> dict[str, Any]:
    """The exported stack without pending operations.

    A resource that azure-native had started to create, and that Azure now has, is added to the
    state. Everything else is dropped: commands are safe to run again, keys were never used, and an
    update or a deletion that did not finish shows as a difference.
    """
    from emulator.plugins import pending  # noqa: PLC0415 - slow to import, and seldom needed

    return pending.resolve_pending(exported, instance)


def _has_pending_operations(instance: Instance, stack: str) -> bool:
    file = state_file(instance, stack)
    checkpoint = json.loads(file.read_text()).get("checkpoint", {}) if file else {}
    return bool((checkpoint.get("latest") or {}).get("pending_operations"))


def _is_alive(pid: Any) -> bool:
    """Whether the process is a running Pulumi: not gone, not a zombie, not another program."""
    try:
        status = Path(f"/proc/{int(pid)}/status").read_text()
    except (OSError, TypeError, ValueError):
        return False
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return fields["Name"] == "pulumi" and not fields["State"].startswith("Z")


def _say(text: str) -> None:
    print(f"pulumi-local: {text}", file=sys.stderr)
