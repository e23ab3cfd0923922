"""What a killed run had started to create is looked up in Azure."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.faults import Fault
from emulator.azure.names import SUBSCRIPTION
from emulator.azure.service import Azure
from emulator.instance import Instance
from emulator.plugins.pending import resolve_pending

pytestmark = pytest.mark.unit

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/chat"
DISK = f"{GROUP}/providers/Microsoft.Compute/disks/data"
URN = "urn:pulumi:dev::test::azure-native:compute:Disk::data"
PROVIDER = "urn:pulumi:dev::test::pulumi:providers:azure-native::default"
BODY = {
    "location": "francecentral",
    "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 64},
}
NOTED = {
    "urn": URN,
    "custom": True,
    "type": "azure-native:compute:Disk",
    "inputs": {"resourceGroupName": "chat", "diskName": "data", "tags": {"sealed": "…"}},
    "parent": "urn:pulumi:dev::test::pulumi:pulumi:Stack::test-dev",
    "provider": f"{PROVIDER}::1234",
}


def exported(*resources: Any, pending: Any = NOTED, kind: str = "creating") -> dict[str, Any]:
    provider = {"urn": PROVIDER, "type": "pulumi:providers:azure-native", "inputs": {}}
    return {
        "version": 3,
        "deployment": {
            "resources": [provider, *copy.deepcopy(resources)],
            "pending_operations": [{"resource": copy.deepcopy(pending), "type": kind}],
        },
    }


def resources(settled: dict[str, Any]) -> list[dict[str, Any]]:
    """The settled resources without the provider; checks that nothing is pending."""
    assert not settled["deployment"].get("pending_operations")
    return list(settled["deployment"]["resources"][1:])


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    azure = Azure(instance(tmp_path), NullFabric())
    azure.put(GROUP, {"location": "francecentral"})
    yield azure
    Instance.open(tmp_path).release()


def instance(home: Path) -> Instance:
    return Instance(home, "abc123", 201)


def test_what_azure_has_is_adopted(azure: Azure, tmp_path: Path) -> None:
    azure.put(DISK, BODY)
    (adopted,) = resources(resolve_pending(exported(), instance(tmp_path)))
    assert adopted["id"] == DISK
    assert adopted["outputs"]["diskSizeGB"] == 64
    assert {name: adopted[name] for name in NOTED} == NOTED  # inputs as they were, secrets sealed
    assert "initErrors" not in adopted


def test_what_azure_has_not_is_forgotten(azure: Azure, tmp_path: Path) -> None:
    assert resources(resolve_pending(exported(), instance(tmp_path))) == []


def test_what_azure_is_still_making_is_waited_for(azure: Azure, tmp_path: Path) -> None:
    azure.faults.add(Fault("Microsoft.Compute/disks", slow=0.3))
    azure.put(DISK, BODY)
    (adopted,) = resources(resolve_pending(exported(), instance(tmp_path)))
    assert adopted["outputs"]["provisioningState"] == "Succeeded"


def test_what_failed_is_adopted_with_its_failure(azure: Azure, tmp_path: Path) -> None:
    azure.faults.add(Fault("Microsoft.Compute/disks", code="AllocationFailed"))
    azure.put(DISK, BODY)
    (adopted,) = resources(resolve_pending(exported(), instance(tmp_path)))
    assert adopted["outputs"]["provisioningState"] == "Failed"
    assert adopted["initErrors"]


@pytest.mark.parametrize("kind", ["updating", "deleting", "reading"])
def test_other_operations_are_forgotten_and_their_resources_stay(
    azure: Azure, tmp_path: Path, kind: str
) -> None:
    azure.put(DISK, BODY)
    known = {**NOTED, "id": DISK}
    settled = resolve_pending(exported(known, kind=kind), instance(tmp_path))
    assert resources(settled) == [known]


def test_what_is_not_azures_is_forgotten(azure: Azure, tmp_path: Path) -> None:
    noted = {**NOTED, "type": "command:remote:Command", "inputs": {"create": "true"}}
    assert resources(resolve_pending(exported(pending=noted), instance(tmp_path))) == []


def test_a_replacement_takes_the_place_of_what_was_deleted_for_it(
    azure: Azure, tmp_path: Path
) -> None:
    azure.put(DISK, BODY)
    former = {**NOTED, "id": f"{DISK}-old", "pendingReplacement": True}
    user = {"urn": "urn:pulumi:dev::test::x::user", "type": "x", "dependencies": [URN]}
    settled = resources(resolve_pending(exported(former, user), instance(tmp_path)))
    assert [each["urn"] for each in settled] == [URN, user["urn"]]
    assert settled[0]["id"] == DISK


def test_a_replacement_leaves_what_it_replaces_to_be_deleted(azure: Azure, tmp_path: Path) -> None:
    azure.put(DISK, BODY)
    former = {**NOTED, "id": f"{DISK}-old"}
    settled = resources(resolve_pending(exported(former), instance(tmp_path)))
    assert [(each["id"], each.get("delete", False)) for each in settled] == [
        (DISK, False),
        (f"{DISK}-old", True),
    ]


def test_the_providers_subscription_counts(azure: Azure, tmp_path: Path) -> None:
    other = "11111111-1111-1111-1111-111111111111"
    azure.put(GROUP.replace(SUBSCRIPTION, other), {"location": "francecentral"})
    azure.put(DISK.replace(SUBSCRIPTION, other), BODY)
    export = exported()
    export["deployment"]["resources"][0]["inputs"] = {"subscriptionId": other}
    (adopted,) = resources(resolve_pending(export, instance(tmp_path)))
    assert adopted["id"] == DISK.replace(SUBSCRIPTION, other)


def test_a_resource_without_a_state_of_provisioning_is_adopted(
    azure: Azure, tmp_path: Path
) -> None:
    """An identity has none, and the path of a container has a part that is no input."""
    account = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/backups"
    sku = {"kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    azure.put(account, {"location": "francecentral", **sku})
    container = f"{account}/blobServices/default/containers/chats"
    azure.put(container, {})
    noted = {
        **NOTED,
        "type": "azure-native:storage:BlobContainer",
        "inputs": {
            "resourceGroupName": "chat",
            "accountName": "backups",
            "containerName": "chats",
        },
    }
    (adopted,) = resources(resolve_pending(exported(pending=noted), instance(tmp_path)))
    assert adopted["id"] == container
    assert "initErrors" not in adopted
