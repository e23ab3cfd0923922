"""Key vaults: their keys, and what is kept of a deleted one."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.azure.errors import AzureError
from emulator.azure.names import SUBSCRIPTION
from emulator.azure.vaults import check_vault_name_free, deleted_vaults, purge
from tests.unit.emulator.azure.cloud import (
    GROUP,
    KEY,
    VAULT,
    Cloud,
    assignment,
    changed,
    key,
    vault,
)

STRANGER = "11111111-2222-3333-4444-555555555555"
ACCESS = f"{KEY}/providers/Microsoft.Authorization/roleAssignments/{STRANGER}"
NAME = VAULT.rpartition("/")[2]


def _kept(cloud: Cloud) -> list[dict[str, Any]]:
    return deleted_vaults(cloud.azure.store.read(), SUBSCRIPTION)


def _recover(cloud: Cloud, **properties: Any) -> dict[str, Any]:
    return cloud.put(VAULT, vault(createMode="recover", **properties))


@pytest.mark.parametrize("target", [VAULT, GROUP])
def test_a_deleted_vault_comes_back_with_its_keys_and_without_their_roles(
    cloud: Cloud, target: str
) -> None:
    cloud.put(VAULT, {**vault(softDeleteRetentionInDays=7), "tags": {"a": "b"}})
    cloud.put(KEY, key())
    cloud.put(ACCESS, assignment(STRANGER))
    before = [cloud.azure.get(each) for each in (VAULT, KEY)]
    assert _kept(cloud) == []

    cloud.delete(target)
    assert not cloud.exists(VAULT) and not cloud.exists(KEY)
    (kept,) = _kept(cloud)
    assert (kept["name"], kept["properties"]["vaultId"]) == (NAME, VAULT)
    assert kept["properties"]["purgeProtectionEnabled"]

    cloud.put(GROUP, {"location": "francecentral"})
    # The rest of the request is ignored.
    _recover(cloud, softDeleteRetentionInDays=90, publicNetworkAccess="Disabled")
    assert [cloud.azure.get(each) for each in (VAULT, KEY)] == before
    assert not cloud.exists(ACCESS)
    assert _kept(cloud) == []


def test_a_vault_is_recovered_in_its_region_only(cloud: Cloud) -> None:
    cloud.add_vault()
    cloud.delete(VAULT)
    with pytest.raises(AzureError, match="SoftDeletedVaultDoesNotExist"):
        cloud.put(VAULT, {**vault(createMode="recover"), "location": "westeurope"})
    assert len(_kept(cloud)) == 1


def test_what_protects_a_vault_stays_when_a_put_leaves_it_out(cloud: Cloud) -> None:
    cloud.add_vault(softDeleteRetentionInDays=7)
    body = vault()
    for name in ("enablePurgeProtection", "softDeleteRetentionInDays", "enableRbacAuthorization"):
        body = changed(body, f"properties.{name}", None)
    shown = cloud.put(VAULT, body)["properties"]
    assert shown["enablePurgeProtection"] and shown["enableRbacAuthorization"]
    assert shown["softDeleteRetentionInDays"] == 7


def test_what_a_get_of_a_vault_shows_can_be_put(cloud: Cloud) -> None:
    cloud.add_vault()
    shown = cloud.azure.get(VAULT)
    assert cloud.put(VAULT, shown) == shown


def test_a_purged_vault_is_gone_and_its_name_is_free(cloud: Cloud) -> None:
    cloud.add_vault(enablePurgeProtection=None)
    cloud.delete(VAULT)
    with cloud.azure.store.change() as state:
        with pytest.raises(AzureError, match="VaultAlreadyExists"):
            check_vault_name_free(state, NAME)
        purge(state, *deleted_vaults(state, SUBSCRIPTION))
        check_vault_name_free(state, NAME)
    with pytest.raises(AzureError, match="SoftDeletedVaultDoesNotExist"):
        _recover(cloud)
    cloud.put(VAULT, vault())
    assert not cloud.exists(KEY)


def test_a_vault_is_kept_for_its_days(cloud: Cloud) -> None:
    cloud.add_vault(softDeleteRetentionInDays=7)
    cloud.delete(VAULT)
    with cloud.azure.store.change() as state:
        (entry,) = state.deleted.values()
        assert entry["deletionDate"] < entry["scheduledPurgeDate"]
        entry["scheduledPurgeDate"] = entry["deletionDate"]
    assert _kept(cloud) == []
    cloud.put(VAULT, vault())


def test_a_key_that_exists_stays_as_it_is(cloud: Cloud) -> None:
    cloud.add_vault()
    first = cloud.azure.get(KEY)
    assert first["properties"]["keyUri"] == f"https://{NAME}.vault.azure.net/keys/state"
    assert cloud.put(KEY, key(keySize=4096)) == first
