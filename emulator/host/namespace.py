"""Podman for one instance: storage of its own, and cgroups as systemd in a machine needs them.

systemd in a container wants cgroup v2. Where the host has it (every current Debian), Podman runs
plainly. On a host with cgroup v1, every call enters one and the same mount namespace in which
/sys/fs/cgroup is a cgroup2 mount; a namespace for each call would break Podman's clean-up, which
finds its mounts and network namespaces in none of the later ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from emulator.host.commands import run, succeeds, wait_until
from emulator.host.places import Places

CGROUP = Path("/sys/fs/cgroup")
_CAP_SYS_RESOURCE = 24


class Podman:
    """Runs podman with the instance's own storage."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.storage = places.instance.home / "podman"
        self._namespace = places.run / "mounts" / "namespace"

    def __call__(self, *args: str, group: str | None = None) -> str:
        """Run one podman command and give back its output. Raises FabricError.

        `group` is a control group (of cgroup v1) that what it starts is to live in.
        """
        return run([*_join(group), *self._enter(), *self._command(), *args])

    def succeeds(self, *args: str, group: str | None = None) -> bool:
        return succeeds([*_join(group), *self._enter(), *self._command(), *args])

    def remove(self) -> None:
        """Give back what holds Podman's storage in use: the mount namespace and its mounts."""
        for mounted in (self._namespace, self._namespace.parent):
            while is_mounted(mounted):
                run(["umount", str(mounted)])

    def _command(self) -> list[str]:
        return [
            "podman",
            f"--root={self.storage}",
            f"--runroot={self._places.run / 'podman'}",
            f"--tmpdir={self._places.run / 'podman-tmp'}",
            f"--runtime-flag=root={self._places.run / 'runtime'}",
        ]

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
    """Whether /sys/fs/cgroup is cgroup v2 and nothing else."""
    return (CGROUP / "cgroup.controllers").exists()


def may_raise_limits() -> bool:
    """Whether this host lets root raise resource limits (some virtual hosts do not)."""
    status = Path("/proc/self/status").read_text()
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounding.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _join(group: str | None) -> Sequence[str]:
    """Start what follows in the cgroup v1 groups of this name, when there are any."""
    groups = [str(path) for path in group_folders(group)] if group else []
    script = 'for each in $GROUPS_TO_JOIN; do echo $$ > "$each/cgroup.procs"; done; exec "$@"'
    return ["env", f"GROUPS_TO_JOIN={' '.join(groups)}", "sh", "-c", script, "sh"] if groups else []


def group_folders(group: str) -> list[Path]:
    """The cgroup v1 folders of a group, as seen outside the mount namespace."""
    return [
        path for path in (CGROUP / kind / group for kind in ("memory", "cpuset")) if path.is_dir()
    ]


def remove_group(folder: Path) -> None:
    """Remove a control group, which is busy until the kernel has let its last process go."""

    def removed() -> bool:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    wait_until(removed, 10)


def is_mounted(path: Path) -> bool:
    """Whether something is mounted at exactly this path."""
    return succeeds(["mountpoint", "-q", str(path)])


def _share_network_namespaces() -> None:
    """Let network namespaces made later be seen in the mount namespace, as `ip netns` does."""
    folder = Path("/run/netns")
    folder.mkdir(parents=True, exist_ok=True)
    if not is_mounted(folder):
        run(["mount", "--bind", str(folder), str(folder)])
    run(["mount", "--make-shared", str(folder)])
