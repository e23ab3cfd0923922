"""Podman for one instance: storage of its own, and cgroups as systemd in a machine needs them.

systemd in a container needs cgroup v2. On a host that has it (every current Debian), Podman is run
directly. On a host with cgroup v1, every call enters the same mount namespace, in which
/sys/fs/cgroup is a cgroup2 mount. With a namespace for each call, Podman's clean-up would not find
its mounts and network namespaces again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from emulator.host.commands import run, succeeds, wait_until
from emulator.host.places import Places, replace_text

CGROUP = Path("/sys/fs/cgroup")
_CAP_SYS_RESOURCE = 24


class Podman:
    """Runs podman with the instance's own storage."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.storage = places.instance.home / "podman"
        self._namespace = places.run / "mounts" / "namespace"

    def __call__(self, *args: str, group: str | None = None) -> str:
        """Run one podman command and return its output. Raises FabricError.

        `group` is a control group (of cgroup v1) for the processes that it starts.
        """
        return run([*_in_group(group), *self._enter(), *self._command(), *args])

    def succeeds(self, *args: str, group: str | None = None) -> bool:
        return succeeds([*_in_group(group), *self._enter(), *self._command(), *args])

    def remove(self) -> None:
        """Remove the mount namespace and its mounts, which keep Podman's storage in use."""
        for mounted in (self._namespace, self._namespace.parent):
            while is_mounted(mounted):
                run(["umount", str(mounted)])

    def _command(self) -> list[str]:
        return [
            "podman",
            f"--conmon={self._conmon()}",
            f"--root={self.storage}",
            f"--runroot={self._places.run / 'podman'}",
            f"--tmpdir={self._places.run / 'podman-tmp'}",
            f"--runtime-flag=root={self._places.run / 'runtime'}",
        ]

    def _conmon(self) -> Path:
        """conmon with temporary files in the instance's own folder, where removal finds them.

        One that is killed while it starts a container leaves a socket, `conmon-term.*`. Podman
        passes no environment on to conmon.
        """
        temporary, program = self._places.run / "conmon", self._places.state / "conmon"
        temporary.mkdir(parents=True, exist_ok=True)
        script = f'#!/bin/sh\nTMPDIR={temporary} exec {shutil.which("conmon")} "$@"\n'
        if not program.exists() or program.read_text() != script:
            replace_text(program, script, 0o755)
        return program

    def _enter(self) -> list[str]:
        if has_unified_cgroups():
            return []
        self._make_namespace()
        return ["nsenter", f"--mount={self._namespace}"]

    def _make_namespace(self) -> None:
        if is_mounted(self._namespace):
            return
        folder = self._namespace.parent
        folder.mkdir(parents=True, exist_ok=True)
        _share_network_namespaces()
        if not is_mounted(folder):
            run(["mount", "--bind", str(folder), str(folder)])
        # A mount namespace can be kept only on a mount that does not propagate.
        run(["mount", "--make-private", str(folder)])
        self._namespace.touch()
        script = (
            f"umount -R {CGROUP} && mount -t cgroup2 cgroup2 {CGROUP} "
            f"|| {{ umount {self._namespace}; exit 1; }}"
        )
        kept = f"--mount={self._namespace}"
        run(["unshare", kept, "--propagation=slave", "sh", "-c", script])


def has_unified_cgroups() -> bool:
    """Whether /sys/fs/cgroup is cgroup v2 only."""
    return (CGROUP / "cgroup.controllers").exists()


def may_raise_limits() -> bool:
    """Whether this host lets root raise resource limits (some virtual hosts do not)."""
    status = Path("/proc/self/status").read_text()
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounding.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _in_group(group: str | None) -> Sequence[str]:
    """The start of a command that runs the rest in the cgroup v1 groups of this name."""
    groups = [str(path) for path in group_folders(group)] if group else []
    script = 'for each in $GROUPS_TO_JOIN; do echo $$ > "$each/cgroup.procs"; done; exec "$@"'
    return ["env", f"GROUPS_TO_JOIN={' '.join(groups)}", "sh", "-c", script, "sh"] if groups else []


def group_folders(group: str) -> list[Path]:
    """The cgroup v1 folders of a group, as seen outside the mount namespace."""
    return [
        path for path in (CGROUP / kind / group for kind in ("memory", "cpuset")) if path.is_dir()
    ]


def remove_group(folder: Path) -> None:
    """Remove a control group, once the kernel has removed its last process."""

    def removed() -> bool:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    wait_until(removed, 10)


def is_mounted(path: Path) -> bool:
    """Whether something is mounted at exactly this path."""
    return succeeds(["mountpoint", "-q", str(path)])


def _share_network_namespaces() -> None:
    """Make later network namespaces visible in the mount namespace, as `ip netns` does."""
    folder = Path("/run/netns")
    folder.mkdir(parents=True, exist_ok=True)
    if not is_mounted(folder):
        run(["mount", "--bind", str(folder), str(folder)])
    run(["mount", "--make-shared", str(folder)])
