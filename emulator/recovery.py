"""After a run that was killed: its lock, and what it had begun.

Pulumi's file backend keeps a lock file per run and notes each operation before it begins. A killed
run leaves both. The lock of a process that is gone is removed; an operation that was under way is
settled by asking what there is now.
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
    """Make `stack` usable again if a former run was killed; does nothing otherwise.

    `pulumi` runs the CLI quietly and returns its standard output.
    """
    remove_dead_locks(instance, stack)
    if _has_pending_operations(instance, stack):
        _say("a former run was interrupted; looking at what it had begun")
        exported = json.loads(pulumi("stack", "export", "--stack", stack))
        settled = settle(exported, instance)
        pulumi("stack", "import", "--stack", stack, stdin=json.dumps(settled))


def repair_backend(instance: Instance) -> None:
    """Remove what a kill left half written beside the files of the state.

    Pulumi's file backend replaces each file whole, but not the `.attrs` beside it, which holds its
    checksum; a cut off one makes every later command fail with "EOF". The backend does without it.
    """
    for beside in instance.backend.rglob("*.attrs"):
        try:
            json.loads(beside.read_text())
        except ValueError:
            _say(f"a former run was killed while it wrote {beside.stem}; fixing that")
            beside.unlink()


def state_file(instance: Instance, stack: str) -> Path | None:
    """Where Pulumi's file backend keeps a stack; None when there is no such stack."""
    return next(instance.backend.glob(f".pulumi/stacks/*/{stack}.json"), None)


def remove_dead_locks(instance: Instance, stack: str) -> None:
    """Remove the locks whose owners, processes of this host, are gone."""
    for lock in instance.backend.glob(f".pulumi/locks/**/{stack}/*.json"):
        try:
            owner = json.loads(lock.read_text())
        except (OSError, ValueError):
            owner = {}  # cut off in the middle of being written
        if owner.get("hostname", os.uname().nodename) != os.uname().nodename:
            continue
        if not _is_alive(owner.get("pid")):
            _say(f"removing the lock of a former run that is gone (process {owner.get('pid')})")
            lock.unlink(missing_ok=True)


def settle(exported: dict[str, Any], instance: Instance) -> dict[str, Any]:
    """The exported stack without pending operations.

    What azure-native had begun to create and Azure now has is taken into the state. Everything
    else is simply forgotten: commands are safe to run again, keys were never used, an update or a
    deletion that did not finish shows as a difference.
    """
    from emulator.plugins import pending  # noqa: PLC0415 - loads much, and is seldom needed

    return pending.resolve_pending(exported, instance)


def _has_pending_operations(instance: Instance, stack: str) -> bool:
    file = state_file(instance, stack)
    checkpoint = json.loads(file.read_text()).get("checkpoint", {}) if file else {}
    return bool((checkpoint.get("latest") or {}).get("pending_operations"))


def _is_alive(pid: Any) -> bool:
    """Whether this process is a Pulumi that runs: neither gone, nor a zombie, nor a successor."""
    try:
        status = Path(f"/proc/{int(pid)}/status").read_text()
    except (OSError, TypeError, ValueError):
        return False
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return fields["Name"] == "pulumi" and not fields["State"].startswith("Z")


def _say(text: str) -> None:
    print(f"pulumi-local: {text}", file=sys.stderr)
