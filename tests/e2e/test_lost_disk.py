"""The data disk goes away under the running machine, or another one is in its place.

The machine is stopped or deleted, too. These tests change the machine that all tests share, and
leave it as they found it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.azure.service import Azure
from emulator.host.disks import Disks
from emulator.host.places import Places
from emulator.instance import Instance
from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.kept import Kept
from tests.e2e.test_first_boot import digest
from tests.e2e.test_operations import run

pytestmark = pytest.mark.long

SERVICES = ("ollama", "open-webui", "nginx")


class Cloud:
    """Azure's own view of the machine, as an administrator of the subscription has it."""

    def __init__(self, deployment: Deployment) -> None:
        self.instance = Instance.open(deployment.home)
        self.azure = Azure(self.instance)
        exported = json.loads(deployment.pulumi("stack", "export").output)
        (self.vm,) = [
            each["id"]
            for each in exported["deployment"]["resources"]
            if each["type"] == "azure-native:compute:VirtualMachine"
        ]

    @property
    def disks(self) -> list[dict[str, Any]]:
        """The data disks that the machine has, as they can be attached again."""
        disks: list[dict[str, Any]] = self.azure.get(self.vm)["properties"]["storageProfile"][
            "dataDisks"
        ]
        return disks

    def attach(self, *disks: dict[str, Any]) -> None:
        """Attach these data disks to the machine, and no others."""
        body = json.loads(json.dumps(self.azure.get(self.vm)))
        body["properties"]["storageProfile"]["dataDisks"] = list(disks)
        self.azure.wait(self.azure.put(self.vm, body))

    def do(self, action: str) -> None:
        """Start, restart or deallocate the machine."""
        self.azure.wait(self.azure.action(self.vm, action))

    def new_disk(self, name: str) -> str:
        """A disk of another owner, with a file system; returns its id."""
        group = self.disks[0]["managedDisk"]["id"].rpartition("/")[0]
        disk_id = f"{group}/{name}"
        body = {
            "location": "francecentral",
            "sku": {"name": "StandardSSD_LRS"},
            "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4},
        }
        self.azure.wait(self.azure.put(disk_id, body))
        subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "photos", self.file_of(disk_id)], check=True)
        return disk_id

    def file_of(self, disk_id: str) -> Any:
        return Disks(Places(self.instance)).file(disk_id.lower())


@pytest.fixture
def cloud(deployment: Deployment) -> Iterator[Cloud]:
    """What Azure has; afterwards the machine runs, with the disk that it had."""
    cloud = Cloud(deployment)
    before = cloud.disks
    yield cloud
    if cloud.disks != before:
        cloud.attach(*before)
    deployment.up()
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer", patience=300)


def is_mounted(deployment: Deployment) -> bool:
    return deployment.ssh("mountpoint -q /srv/data", check=False).code == 0


def assert_nothing_runs(deployment: Deployment, since: str) -> None:
    """No service runs, and since this time none has written to the folder on the system disk."""
    for service in SERVICES:
        assert deployment.ssh(f"systemctl is-active {service}", check=False).code != 0, service
    shown = run(deployment, "status")
    assert shown.code == 1
    assert "The data disk is not mounted, so the chat does not run." in shown.output
    assert "`pulumi up --refresh --stack local` attaches it" in shown.output
    run(deployment, "drift")
    written = f"sudo find /srv/data -mindepth 1 -newerct '{since}'"
    assert deployment.ssh(written).output.strip() == ""


def time_of(deployment: Deployment) -> str:
    """The machine's time."""
    return deployment.ssh("date --iso-8601=ns").output.strip()


def test_a_disk_that_is_detached_in_use_comes_back_by_the_next_up(
    deployment: Deployment, cloud: Cloud
) -> None:
    kept = Kept.by(deployment)
    before, booted = kept.of(deployment), deployment.ssh("cat /proc/sys/kernel/random/boot_id")
    cloud.attach()
    wait_until(lambda: not is_mounted(deployment), "the end of the mount")
    assert_nothing_runs(deployment, time_of(deployment))

    deployment.pulumi("up", "--yes", "--skip-preview", "--refresh")
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer", patience=300)
    assert kept.of(deployment) == before
    assert deployment.ssh("cat /proc/sys/kernel/random/boot_id") == booted


def test_while_services_start_it_is_lost_and_found_all_the_same(
    deployment: Deployment, cloud: Cloud
) -> None:
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    (disk,) = cloud.disks
    deployment.ssh("sudo systemctl restart --no-block " + " ".join(SERVICES))
    cloud.attach()
    wait_until(lambda: not is_mounted(deployment), "the end of the mount")
    assert_nothing_runs(deployment, time_of(deployment))
    cloud.attach(disk)
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer", patience=300)
    assert kept.of(deployment) == before


def test_at_another_lun_it_is_found_at_once_and_after_a_restart(
    deployment: Deployment, cloud: Cloud
) -> None:
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    (disk,) = cloud.disks
    cloud.attach()
    cloud.attach({**disk, "lun": 3})  # while the services still stop
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer", patience=300)
    cloud.do("restart")
    wait_until(lambda: kept.of(deployment) == before, "the chat after a restart", patience=300)
    cloud.attach()
    wait_until(lambda: not is_mounted(deployment), "the end of the mount")


def test_a_foreign_disk_in_its_place_is_neither_used_nor_changed(
    deployment: Deployment, cloud: Cloud
) -> None:
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    foreign = cloud.new_disk("photos")
    content = digest(cloud.file_of(foreign))
    cloud.attach()
    wait_until(lambda: not is_mounted(deployment), "the end of the mount")
    since = time_of(deployment)
    cloud.attach({"lun": 0, "createOption": "Attach", "managedDisk": {"id": foreign}})
    cloud.do("restart")
    wait_until(lambda: deployment.ssh("true").code == 0, "SSH")
    assert not is_mounted(deployment)
    assert_nothing_runs(deployment, since)
    refused = deployment.ssh("sudo ollamazure-data-disk", check=False)
    assert refused.code != 0
    assert "has content that ollamazure did not make, and stays unchanged" in refused.output
    assert digest(cloud.file_of(foreign)) == content

    deployment.pulumi("up", "--yes", "--skip-preview", "--refresh")
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer", patience=300)
    assert kept.of(deployment) == before
    cloud.azure.wait(cloud.azure.delete(foreign))


def test_a_machine_that_was_deallocated_has_every_chat_when_it_starts(
    deployment: Deployment, cloud: Cloud
) -> None:
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    cloud.do("deallocate")
    shown = run(deployment, "status")
    assert shown.code == 2
    assert "docs/how-to/ssh-is-lost.md has the fix for each cause" in shown.output
    assert "The VM is deallocated" in deployment.pulumi("preview", "--expect-no-changes").output
    cloud.do("start")
    wait_until(lambda: kept.of(deployment) == before, "the chat", patience=300)


def test_a_machine_that_was_deleted_is_made_again_with_every_chat(
    deployment: Deployment, cloud: Cloud
) -> None:
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    cloud.azure.wait(cloud.azure.delete(cloud.vm))
    deployment.pulumi("up", "--yes", "--skip-preview", "--refresh")
    deployment.forget()
    assert kept.of(deployment) == before
    assert deployment.ask("Hello?")
