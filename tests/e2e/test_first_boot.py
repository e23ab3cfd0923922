"""First boots that do not go well: a foreign or late disk, no packages, a power cut."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.artifacts import paths
from emulator.azure.service import Azure
from emulator.host.disks import Disks
from emulator.host.faults import DiskFaults, cut_power
from emulator.host.places import Places
from emulator.instance import Instance
from tests.e2e.conftest import remove
from tests.e2e.deployment import PROJECT, Deployment, wait_until

# Everything up to the machine whose first boot is done; no application.
MACHINE = ("--target", "**::chat", "--target", "**Network**", "--target", "**Machine**")
VM_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ollamazure-local"
    "/providers/Microsoft.Compute/virtualMachines/vm"
)
DISK_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ollamazure-local-data"
    "/providers/Microsoft.Compute/disks/data"
)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Deployment]:
    """A stack of its own, of which only the machine will be made."""
    deployment = Deployment(tmp_path / "emulator")
    yield deployment
    remove(deployment.home)


def disk_file(deployment: Deployment) -> Path:
    """The contents of the data disk, as the host keeps them."""
    return Disks(Places(Instance.open(deployment.home))).file(DISK_ID.lower())


@pytest.mark.long
def test_a_foreign_disk_is_left_alone_and_a_blank_late_one_is_taken(machine: Deployment) -> None:
    up = ("up", "--yes", "--skip-preview")
    disk = ("--target", "**::chat", "--target", "**::machine", "--target", "**::data-*")
    machine.pulumi(*up, *disk)
    file = disk_file(machine)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "photos", file], check=True)
    before = digest(file)

    refused = machine.pulumi(*up, *MACHINE, check=False)
    assert refused.code != 0
    assert "has content that ollamazure did not make, and stays unchanged" in refused.output
    assert "Attach an empty disk" in refused.output
    machine.forget()
    assert machine.ssh("mountpoint /srv/data", check=False).code != 0
    assert digest(file) == before

    # The fix that the message names, with a disk that only appears a minute after the boot.
    machine.ssh("sudo wipefs --quiet --all /dev/disk/azure/data/by-lun/0")
    instance = Instance.open(machine.home)
    DiskFaults(Places(instance)).set("data", 60)
    azure = Azure(instance)
    azure.wait(azure.action(VM_ID, "restart"))
    machine.pulumi(*up, *MACHINE)
    assert ".ollamazure-data" in machine.ssh("ls -A /srv/data").output


def digest(file: Path) -> str:
    """SHA-256 of a disk's first MiB, where filesystems keep what they are."""
    with file.open("rb") as disk:
        return hashlib.sha256(disk.read(2**20)).hexdigest()


@pytest.mark.long
def test_a_first_boot_without_debians_mirror_is_completed(
    machine: Deployment, tmp_path: Path
) -> None:
    """cloud-init reports the failed first boot forever."""
    image, broken = tmp_path / "image.tar", "etc/apt/apt.conf.d/99-broken"
    shutil.copyfile(paths.machine_rootfs(lean=True), image)
    (tmp_path / broken).parent.mkdir(parents=True)
    (tmp_path / broken).write_text('Acquire::http::Proxy "http://127.0.0.1:9";\n')
    subprocess.run(["tar", "--append", "-f", image, "-C", tmp_path, f"./{broken}"], check=True)
    machine.environment["OLLAMAZURE_MACHINE_IMAGE"] = str(image)
    up = ("up", "--yes", "--skip-preview", *MACHINE)

    failed = machine.pulumi(*up, check=False)
    assert failed.code != 0
    assert "Debian's packages cannot be installed" in failed.output
    machine.forget()
    machine.ssh(f"sudo rm /{broken}")
    machine.pulumi(*up)

    machine.ssh("curl --version && zstd --version && systemctl is-active ollamazure-firewall")
    assert "status: error" in machine.ssh("cloud-init status", check=False).output
    assert "Installing" not in machine.pulumi(*up, "--replace", "**::machine-ready").output


@pytest.mark.long
def test_a_lean_image_is_enough(machine: Deployment) -> None:
    """Without curl and zstd, which Debian's image may one day leave out.

    Without ca-certificates there is no cloud-init: it depends on it and fails to import.
    """
    machine.environment["OLLAMAZURE_MACHINE_IMAGE"] = str(paths.machine_rootfs(lean=True))
    machine.pulumi("up", "--yes", "--skip-preview", *MACHINE)
    machine.forget()
    machine.ssh("curl --version && zstd --version")


@pytest.mark.long
def test_a_power_cut_while_packages_are_installed(machine: Deployment) -> None:
    """This `pulumi up` or the next one completes the first boot."""
    with machine.log.open("ab") as log:
        up = subprocess.Popen(
            [str(PROJECT / "bin/pulumi-local"), "up", "--yes", "--skip-preview", *MACHINE],
            env={**os.environ, "OLLAMAZURE_EMULATOR": str(machine.home)},
            stdout=log,
            stderr=log,
        )
        began = "machines/*/root/var/lib/cloud/instances/*/sem/config_package*"
        try:
            wait_until(lambda: bool([*machine.home.glob(began)]), "the packages", patience=600)
            cut_power(Instance.open(machine.home))
        finally:
            up.wait()
    machine.pulumi("up", "--yes", "--skip-preview", *MACHINE)
    machine.ssh("curl --version && zstd --version && systemctl is-active ollamazure-firewall")
    assert ".ollamazure-data" in machine.ssh("ls -A /srv/data").output
    assert machine.ssh("sudo dpkg --audit").output == ""
