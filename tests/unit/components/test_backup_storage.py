"""The storage of backups in Azure: what is created, who may use it, what protects it."""

from __future__ import annotations

import uuid

import pytest

from tests.unit.components.recorder import Recorder
from tests.unit.components.test_cloud import CALLS, whole_program

CONTAINER = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/former-data/providers"
    "/Microsoft.Storage/storageAccounts/backup0123456789abcdef/blobServices/default/containers/old"
)


@pytest.fixture(scope="module")
def azure() -> Recorder:
    return whole_program("dev", backup={"target": "azure"}, keepData="true")


def test_without_backups_in_azure_there_is_no_account_and_no_identity() -> None:
    recorded = whole_program("dev")
    types = {it.type.split(":")[1] for it in recorded.resources}
    assert not types & {"storage", "authorization", "managedidentity"}
    assert "identity" not in recorded.named("vm").inputs


def test_the_account_has_no_keys_and_nothing_public(azure: Recorder) -> None:
    account = azure.named("backup-account").inputs
    assert account["kind"] == "StorageV2"
    assert account["sku"] == {"name": "Standard_LRS"}
    assert account["enableHttpsTrafficOnly"] is True
    assert account["minimumTlsVersion"] == "TLS1_2"
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False
    assert account["allowCrossTenantReplication"] is False
    assert azure.named("backup-container").inputs["publicAccess"] == "None"


def test_what_is_deleted_comes_back_for_a_month(azure: Recorder) -> None:
    blobs = azure.named("backup-blobs").inputs
    assert blobs["isVersioningEnabled"] is True
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        assert blobs[policy] == {"enabled": True, "days": 30}


def test_its_name_is_the_stacks_and_no_others(azure: Recorder) -> None:
    def name(recorded: Recorder) -> str:
        account: str = recorded.named("backup-account").inputs["accountName"]
        return account

    assert 3 <= len(name(azure)) <= 24
    assert name(azure).isalnum()
    assert name(azure).islower()
    again, other = (whole_program(stack, backup={"target": "azure"}) for stack in ("dev", "team"))
    assert name(again) == name(azure) != name(other)


@pytest.mark.parametrize("kept", [True, False])
def test_it_is_kept_with_the_data_disk(kept: bool) -> None:
    recorded = whole_program("dev", backup={"target": "azure"}, keepData=str(kept).lower())
    for name in ("data-disk", "backup-account", "backup-blobs", "backup-container"):
        resource = recorded.named(name)
        assert resource.protect is kept
        assert resource.inputs["resourceGroupName"] == "chat-data"
    assert recorded.named("machine-identity").protect is False
    assert recorded.named("backup-access").protect is False


def test_the_machine_may_use_the_container_and_nothing_else(azure: Recorder) -> None:
    identity = azure.named("vm").inputs["identity"]
    assert identity == {
        "type": "UserAssigned",
        "userAssignedIdentities": ["machine-identity-id"],
    }
    access = azure.named("backup-access").inputs
    assert access["scope"] == "backup-container-id"
    assert access["roleDefinitionId"].endswith("/ba92f5b4-2d11-453d-a403-e96b0029c9fe")
    known = CALLS["azure-native:managedidentity:getUserAssignedIdentity"]
    assert access["principalId"] == known["principalId"]
    assert access["principalType"] == "ServicePrincipal", "Azure finds the identity only later"
    assert uuid.UUID(access["roleAssignmentName"])
    assert azure.named("backup-access").delete_before_replace, "its name stays the same"


def test_its_parts_have_the_tags(azure: Recorder) -> None:
    for name in ("backup-account", "machine-identity"):
        assert azure.named(name).inputs["tags"]["stack"] == "dev"


def test_a_redundancy_in_three_zones() -> None:
    recorded = whole_program("dev", backup={"target": "azure", "redundancy": "zones"})
    assert recorded.named("backup-account").inputs["sku"] == {"name": "Standard_ZRS"}


def test_a_container_that_is_adopted_only_gets_the_role() -> None:
    recorded = whole_program("dev", backup={"target": "azure", "containerId": CONTAINER})
    assert not [it for it in recorded.resources if it.type.startswith("azure-native:storage:")]
    assert recorded.named("backup-access").inputs["scope"] == CONTAINER


def test_an_adopted_disk_has_the_account_in_its_group() -> None:
    disk = (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/former-data"
        "/providers/Microsoft.Compute/disks/data"
    )
    recorded = whole_program("dev", backup={"target": "azure"}, dataDiskId=disk)
    assert recorded.named("backup-account").inputs["resourceGroupName"] == "former-data"
