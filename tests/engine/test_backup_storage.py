"""The storage of backups on a deployed stack: what `pulumi up` adds, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import Stack, names

ADDED = {
    "machine-identity",
    "backup-storage",
    "backup-account",
    "backup-blobs",
    "backup-container",
    "backup-access",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack `local`, deployed without backups in Azure."""
    stack = Stack(tmp_path_factory.mktemp("backups") / "emulator")
    stack.up()
    yield stack


def azure(stack: Stack) -> Azure:
    return Azure(Instance.open(stack.home), NullFabric())


def test_a_deployed_machine_gets_an_identity_in_place(stack: Stack) -> None:
    (before,) = azure(stack).list("Microsoft.Compute/virtualMachines")
    stack.set("backup.target", "azure")

    steps = stack.preview()
    assert names(steps, "create") == ADDED
    assert names(steps, "update") <= {"vm", "backup", "pulumi-local", "ollamazure-local"}
    assert {step.op for step in steps} <= {"create", "update"}

    stack.up()
    (after,) = azure(stack).list("Microsoft.Compute/virtualMachines")
    assert after["properties"]["vmId"] == before["properties"]["vmId"]
    (identity,) = azure(stack).list("Microsoft.ManagedIdentity/userAssignedIdentities")
    assert list(after["identity"]["userAssignedIdentities"]) == [identity["id"]]
    (access,) = azure(stack).list("Microsoft.Authorization/roleAssignments")
    assert access["properties"]["principalId"] == identity["properties"]["principalId"]
    (container,) = azure(stack).list("Microsoft.Storage/storageAccounts/blobServices/containers")
    assert access["properties"]["scope"] == container["id"]
    assert "/resourceGroups/ollamazure-local-data/" in container["id"]
    assert stack.preview() == []


@pytest.mark.long
def test_a_new_tag_replaces_nothing(stack: Stack) -> None:
    stack.set("tags.team", "research")
    steps = stack.preview()
    assert {step.op for step in steps} == {"update"}
    assert "backup-access" not in names(steps, "update"), "its principal is known"
    stack.run("refresh", "--yes")
    stack.up()
    assert stack.preview() == []


@pytest.mark.long
def test_without_backups_the_account_goes_and_the_machine_stays(stack: Stack) -> None:
    stack.set("backup.target", "dataDisk")
    stack.up()
    for type_ in ("Storage/storageAccounts", "Authorization/roleAssignments"):
        assert azure(stack).list(f"Microsoft.{type_}") == []
    assert len(azure(stack).list("Microsoft.Compute/virtualMachines")) == 1
    assert stack.preview() == []
