"""No chat is ever lost: not with the disk, not with the VM, not with the stack.

These tests change the machine that all tests share, and the last removes it: they run in order.
"""

from __future__ import annotations

import json

import pytest

from emulator.azure.service import Azure
from emulator.host.faults import DiskFaults
from emulator.host.places import Places
from emulator.instance import Instance
from tests.e2e.deployment import Deployment, boot, wait_until

pytestmark = pytest.mark.long

TITLE = "Kept since the first machine"
VM = "azure-native:compute:VirtualMachine"
DISK = "azure-native:compute:Disk"
SERVICES = ("ollama", "open-webui", "nginx")


@pytest.fixture(scope="module", autouse=True)
def kept_chat(deployment: Deployment) -> None:
    """Store a chat as the browser does."""
    chat = {"title": TITLE, "models": deployment.outputs["models"], "messages": []}
    with deployment.client(deployment.token) as client:
        stored = client.post("/api/v1/chats/new", json={"chat": chat})
    assert stored.status_code == 200, stored.text


def has_the_chat(deployment: Deployment) -> bool:
    with deployment.client(deployment.token) as client:
        answer = client.get("/api/v1/chats/", params={"page": 1})
    assert answer.status_code == 200, answer.text
    return TITLE in [chat["title"] for chat in answer.json()]


def resource_id(deployment: Deployment, type_: str) -> str:
    """The ARM id of the stack's only resource of this type."""
    exported = json.loads(deployment.pulumi("stack", "export").output)
    resources = exported["deployment"]["resources"]
    (found,) = [resource["id"] for resource in resources if resource["type"] == type_]
    return str(found)


def test_without_its_disk_nothing_starts_and_late_it_brings_everything_back(
    deployment: Deployment,
) -> None:
    instance = Instance.open(deployment.home)
    faults = DiskFaults(Places(instance))
    azure = Azure(instance)
    try:
        faults.set("data", 60)
        azure.wait(azure.action(resource_id(deployment, VM), "restart"))
        wait_until(lambda: deployment.ssh("true").code == 0, "SSH without the data disk")
        assert deployment.ssh("mountpoint -q /srv/data", check=False).code != 0
        for service in SERVICES:
            assert deployment.ssh(f"systemctl is-active {service}", check=False).code != 0
        assert deployment.ssh("sudo ls -A /srv/data").output.strip() == ""
        wait_until(lambda: has_the_chat(deployment), "the chat after a late disk", patience=300)
    finally:
        faults.clear()


def test_a_resized_machine_restarts_and_has_every_chat(deployment: Deployment) -> None:
    machine, before = deployment.ssh("cat /etc/machine-id").output, boot(deployment)
    deployment.up(vmSize="Standard_B4ms")
    assert deployment.ssh("cat /etc/machine-id").output == machine
    assert boot(deployment) != before
    assert has_the_chat(deployment)


def test_a_replaced_vm_has_every_chat(deployment: Deployment) -> None:
    """Of another class, so that Azure cannot resize it in place."""
    before = deployment.ssh("cat /etc/machine-id").output
    deployment.up(vmSize="Standard_B2as_v2")
    assert deployment.ssh("cat /etc/machine-id").output != before
    assert has_the_chat(deployment)
    deployment.pulumi("preview", "--expect-no-changes")


def test_a_kept_disk_outlives_the_stack_and_a_new_one_adopts_it(deployment: Deployment) -> None:
    deployment.up(keepData="true")
    disk = resource_id(deployment, DISK)
    old_password = deployment.outputs["adminPassword"]
    refused = deployment.pulumi("destroy", "--yes", "--skip-preview", check=False)
    assert refused.code != 0 and "protect" in refused.output

    deployment.pulumi("state", "unprotect", "--all", "--yes")
    deployment.pulumi("destroy", "--yes", "--skip-preview")
    azure = Azure(Instance.open(deployment.home))
    assert [found["id"] for found in azure.list("Microsoft.Compute/disks")] == [disk]

    deployment.up(dataDiskId=disk)
    assert deployment.outputs["adminPassword"] != old_password
    assert has_the_chat(deployment)


def test_destroy_removes_all_but_an_adopted_disk(deployment: Deployment) -> None:
    disk = adopted_disk(deployment)
    deployment.pulumi("destroy", "--yes", "--skip-preview")
    azure = Azure(Instance.open(deployment.home))
    left = [
        found["id"]
        for kind in ("Microsoft.Compute/virtualMachines", "Microsoft.Compute/disks")
        for found in azure.list(kind)
    ]
    assert left == [disk]  # adopted, so not ours to delete


def adopted_disk(deployment: Deployment) -> str:
    """The adopted disk's id, as the settings name it."""
    ran = deployment.pulumi("config", "get", "ollamazure:dataDiskId")
    return ran.output.strip()
