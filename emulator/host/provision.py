"""A machine's files before its first boot: the image, and what Azure adds from osProfile.

Azure passes osProfile to the image's own cloud-init, which creates the admin user, installs keys
and sets the host name; customData is the user-data of the same cloud-init. The same happens here,
with the NoCloud data source instead of Azure's.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from emulator.azure.fabric import FabricError
from emulator.host.commands import remove_folder, run
from emulator.host.desired import DesiredMachine
from emulator.host.namespace import may_raise_limits
from emulator.host.nsg import AZURE_HOST

MIRROR_NAMES = "mirrors.internal blobs.mirrors.internal"
TEMP_DISK = "resource"
"""The temp disk's link below /dev/disk/azure, as on Azure."""

_NEEDED_BYTES = 6 << 30


def unpack(image: Path, root: Path) -> None:
    """Unpack the image to `root`: all of it or, after a crash, nothing. Raises FabricError."""
    if not image.is_file():
        raise FabricError(
            "PlatformImageNotFound",
            f"The machine image {image} is missing. Build it with: "
            "python -m emulator.artifacts build",
        )
    free = shutil.disk_usage(root.parent).free
    if free < _NEEDED_BYTES:
        raise FabricError(
            "AllocationFailed",
            f"The host has {free / (1 << 30):.1f} GiB free below {root.parent}, and a machine "
            f"needs {_NEEDED_BYTES >> 30}. Free some space, or put the emulator's folder elsewhere "
            "with OLLAMAZURE_EMULATOR=DIR.",
        )
    partial = root.with_name("root.partial")
    remove_folder(partial)
    partial.mkdir(parents=True)
    # tar must end with this process: the next one empties the folder and starts again.
    ends_with_us = ["setpriv", "--pdeathsig", "KILL"]
    run([*ends_with_us, "tar", "-C", str(partial), "--numeric-owner", "-xpf", str(image)])
    partial.rename(root)


def prepare(root: Path, machine: DesiredMachine, gateway: str, temp_disk: bool) -> None:
    """Write the files that are particular to this machine. Safe to repeat before the first boot."""
    _forget_identity(root)
    _write(root, "etc/hostname", f"{machine.host_name}\n")
    _write(root, "etc/resolv.conf", f"nameserver {AZURE_HOST}\n")
    _write(
        root,
        "etc/hosts",
        f"127.0.0.1 localhost\n127.0.1.1 {machine.host_name}\n::1 localhost ip6-localhost\n"
        f"{gateway} {MIRROR_NAMES}\n",
    )
    temp = (
        f"/dev/disk/azure/{TEMP_DISK} /mnt ext4 defaults,nofail,x-systemd.device-timeout=30 0 2\n"
    )
    _write(root, "etc/fstab", temp if temp_disk else "")
    _write(root, "etc/cloud/cloud.cfg.d/90-azure.cfg", yaml.safe_dump(_system_config(machine)))
    seed = "var/lib/cloud/seed/nocloud"
    _write(root, f"{seed}/meta-data", json.dumps(_meta_data(machine)), 0o600)
    user_data = root / seed / "user-data"
    user_data.touch(0o600)
    user_data.write_bytes(machine.custom_data)
    if not may_raise_limits():
        _write(root, "etc/containers/containers.conf.d/90-host-limits.conf", _CONTAINER_LIMITS)


_CONTAINER_LIMITS = """\
# This host does not allow raising resource limits, so containers must not try to.
[containers]
pids_limit = 0
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
"""


def _forget_identity(root: Path) -> None:
    """Remove the keys and the machine id that Debian's package scripts put into the image."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    _write(root, "etc/machine-id", "")


def _system_config(machine: DesiredMachine) -> dict[str, Any]:
    """The image's part of cloud-init's configuration; customData can override it."""
    return {
        "datasource_list": ["NoCloud"],
        "network": {"config": "disabled"},
        # The root file system is a folder of the host.
        "growpart": {"mode": "off"},
        "resize_rootfs": False,
        "system_info": {
            "default_user": {
                "name": machine.user,
                "gecos": machine.user,
                "lock_passwd": True,
                "shell": "/bin/bash",
                "groups": ["adm", "sudo", "systemd-journal"],
                "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
            }
        },
    }


def _meta_data(machine: DesiredMachine) -> dict[str, Any]:
    return {
        "instance-id": machine.identity,
        "local-hostname": machine.host_name,
        "public-keys": list(machine.keys),
    }


def _write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode)
    file.write_text(text)
