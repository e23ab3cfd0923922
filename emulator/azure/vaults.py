"""Key vaults, those that Azure keeps after their deletion, and the keys in them.

Sources: learn.microsoft.com/azure/key-vault/general/soft-delete-overview, and the reports named
beside a message that Microsoft has not published.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from datetime import datetime, timedelta

from emulator.azure.errors import AzureError, method_not_allowed, not_emulated
from emulator.azure.identities import TENANT
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    forget_below,
    merge_defaults,
    new_guid,
    now,
)
from emulator.azure.names import VAULT, VAULT_KEY, ResourceId
from emulator.azure.store import Body, StoredState

VAULT_DOMAIN = "vault.azure.net"
KEY_SIZES = (2048, 3072, 4096)


class Vault(ResourceKind):
    """A key vault whose rights are roles. Azure keeps a deleted one, and its name stays taken."""

    def put(self, request: PutRequest) -> None:
        check_vault_name(request.id.name)
        properties = request.properties
        if properties["tenantId"].lower() != TENANT:
            raise AzureError("BadRequest", "An invalid value was provided for 'tenantId'.")
        if properties.pop("createMode", "default") == "recover":
            _recover(request)
            return
        _check_free(request)
        _check_protection(request)
        # What a PUT leaves out stays as it is, because none of it can be taken back.
        kept = ("enablePurgeProtection", "softDeleteRetentionInDays", "enableRbacAuthorization")
        old = request.old_properties
        merge_defaults(properties, {name: old[name] for name in kept if name in old})
        merge_defaults(
            properties,
            {
                "accessPolicies": [],
                "enableSoftDelete": True,
                "enabledForDeployment": False,
                "publicNetworkAccess": "Enabled",
                "softDeleteRetentionInDays": 90,
            },
        )
        if not properties.get("enableRbacAuthorization"):
            raise not_emulated(
                "The vault has access policies instead of roles",
                "properties.enableRbacAuthorization",
            )
        properties["vaultUri"] = f"https://{request.id.name.lower()}.{VAULT_DOMAIN}/"

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        soft_delete(state, id_, body)


def check_vault_name(name: str) -> None:
    """Check a name: 3 to 24 letters, digits and single hyphens. Raises VaultNameNotValid."""
    if not 3 <= len(name) <= 24 or not re.fullmatch(r"[A-Za-z](-?[A-Za-z0-9])*", name):
        raise AzureError(
            "VaultNameNotValid",
            f"The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric"
            " characters. The name must begin"
            " with a letter, end with a letter or digit, and not contain consecutive hyphens."
            " Follow this link for more information: https://go.microsoft.com/fwlink/?linkid=2147742",
        )


def check_vault_name_free(state: StoredState, name: str, key: str = "") -> None:
    """Check that no vault in Azure has the name, except the one with this key.

    Raises VaultAlreadyExists, also when it is the name of a deleted vault.
    """
    taken = (each for each, _ in state.of_type(VAULT) if each != key)
    if any(each.endswith(f"/{name.lower()}") for each in (*taken, *_kept(state))):
        raise AzureError(
            "VaultAlreadyExists",
            f"The vault name '{name}' is already in use. Vault names are globally unique so it is"
            " possible that the name is already taken. If you are sure that the vault name was not"
            " taken then it is possible that a vault with the same name was recently deleted but"
            " not purged after being placed in a recoverable state. If the vault is in a"
            " recoverable state then the vault will need to be purged before reusing the name. For"
            " more information about VaultAlreadyExists, soft delete and purging a vault follow"
            " this link https://go.microsoft.com/fwlink/?linkid=2147740.",
            status=409,
        )


def _check_free(request: PutRequest) -> None:
    # github.com/alan-turing-institute/data-safe-haven/issues/2523
    if request.id.key in _kept(request.state):
        raise AzureError(
            "ConflictError",
            "A vault with the same name already exists in deleted state. You need to either"
            " recover or purge existing key vault. Follow this link"
            " https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft"
            " delete.",
            status=409,
        )
    check_vault_name_free(request.state, request.id.name, request.id.key)


def _check_protection(request: PutRequest) -> None:
    """Check what protects the vault and its keys from deletion."""
    new, old = request.properties, request.old_properties
    days = new.get("softDeleteRetentionInDays")
    # github.com/Azure/azure-rest-api-specs/issues/18106: also in the first PUT
    if new.get("enablePurgeProtection") is False:
        raise AzureError(
            "BadRequest",
            'The property "enablePurgeProtection" cannot be set to false. Enabling the purge'
            " protection for a vault is an irreversible action.",
        )
    if new.get("enableSoftDelete") is False:
        raise AzureError(
            "BadRequest",
            'The property "enableSoftDelete" cannot be set to false. Soft delete of a vault cannot'
            " be switched off.",
        )
    if days is not None and not 7 <= days <= 90:
        raise AzureError(
            "BadRequest",
            f'The value {days} of the property "softDeleteRetentionInDays" is invalid. It must be'
            " between 7 and 90.",
        )
    if request.old and days not in (None, old["softDeleteRetentionInDays"]):
        raise AzureError(
            "BadRequest",
            'The property "softDeleteRetentionInDays" has been set already and it can\'t be'
            " modified.",
        )


def soft_delete(state: StoredState, id_: ResourceId, body: Body) -> None:
    """Keep a deleted vault with its keys, which can be recovered; roles on them are lost."""
    resources = {id_.key: body}
    resources |= {
        key: each for key, each in state.of_type(VAULT_KEY) if key.startswith(f"{id_.key}/")
    }
    deleted = now()
    days = timedelta(days=body["properties"]["softDeleteRetentionInDays"])
    state.deleted[id_.key] = {
        "deletionDate": deleted,
        "scheduledPurgeDate": (datetime.fromisoformat(deleted) + days).isoformat(),
        "resources": resources,
    }
    forget_below(state, id_)


def _kept(state: StoredState) -> dict[str, Body]:
    """The deleted vaults that Azure has not purged yet."""
    return {key: each for key, each in state.deleted.items() if each["scheduledPurgeDate"] > now()}


def _recover(request: PutRequest) -> None:
    """Restore a deleted vault as it was; the rest of the request is ignored.

    Source: github.com/Azure/azure-rest-api-specs/issues/21306. Raises SoftDeletedVaultDoesNotExist.
    """
    found = _kept(request.state).get(request.id.key)
    if found is None or found["resources"][request.id.key]["location"] != request.region:
        raise AzureError(
            "SoftDeletedVaultDoesNotExist",
            "A soft deleted vault with the given name does not exist. Ensure that the name for the"
            " vault that is being attempted to recover is in a recoverable state.",
        )
    del request.state.deleted[request.id.key]
    request.state.resources |= found["resources"]
    request.body.clear()
    request.body.update(found["resources"][request.id.key])


def deleted_vaults(state: StoredState, subscription: str) -> list[Body]:
    """The vaults of a subscription that can be recovered, in ARM's form."""
    shown = []
    for key, entry in _kept(state).items():
        vault = entry["resources"][key]
        id_ = ResourceId.parse(vault["id"])
        if id_.subscription.lower() != subscription.lower():
            continue
        properties = {
            "vaultId": vault["id"],
            "location": vault["location"],
            "tags": vault.get("tags") or {},
            "deletionDate": entry["deletionDate"],
            "scheduledPurgeDate": entry["scheduledPurgeDate"],
        }
        if vault["properties"].get("enablePurgeProtection"):
            properties["purgeProtectionEnabled"] = True
        base = f"/subscriptions/{id_.subscription}/providers/Microsoft.KeyVault"
        shown.append(
            {
                "id": f"{base}/locations/{vault['location']}/deletedVaults/{id_.name}",
                "name": id_.name,
                "type": "Microsoft.KeyVault/deletedVaults",
                "properties": properties,
            }
        )
    return shown


def find_deleted_vault(state: StoredState, subscription: str, location: str, name: str) -> Body:
    """One of `deleted_vaults`. Raises DeletedVaultNotFound."""
    for vault in deleted_vaults(state, subscription):
        wanted = (location.lower(), name.lower())
        if (vault["properties"]["location"], vault["name"].lower()) == wanted:
            return vault
    raise AzureError(
        "DeletedVaultNotFound", f"The specified deleted vault '{name}' does not exist.", status=404
    )


def purge(state: StoredState, deleted: Body) -> None:
    """Forget one of `deleted_vaults`. Raises MethodNotAllowed if it has purge protection."""
    # github.com/MicrosoftDocs/azure-docs/issues/55427
    if deleted["properties"].get("purgeProtectionEnabled"):
        raise AzureError(
            "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.", status=405
        )
    del state.deleted[deleted["properties"]["vaultId"].lower()]


class VaultKey(ResourceKind):
    """A key. Resource Manager creates its first version only: one that exists stays as it is."""

    def put(self, request: PutRequest) -> None:
        if request.old:
            request.body.clear()
            request.body.update(request.old)
            return
        name = request.id.name
        if not re.fullmatch(r"[A-Za-z0-9-]{1,127}", name):
            raise AzureError(
                "BadParameter",
                f"The key name '{name}' is invalid. It has 1 to 127 letters, digits and hyphens.",
            )
        properties = request.properties
        merge_defaults(
            properties,
            {
                "keySize": 2048,
                "keyOps": ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
            },
        )
        if properties["keySize"] not in KEY_SIZES:
            raise AzureError(
                "BadParameter",
                f"The key size {properties['keySize']} is invalid. It is one of"
                f" {', '.join(map(str, KEY_SIZES))}.",
                target="keySize",
            )
        vault = request.state.resources[request.id.parent.key]
        created = int(time.time())
        uri = f"{vault['properties']['vaultUri']}keys/{name}"
        version = new_guid().replace("-", "")
        request.body["location"] = vault["location"]
        properties["attributes"] = {"enabled": True, "created": created, "updated": created}
        properties["keyUri"], properties["keyUriWithVersion"] = uri, f"{uri}/{version}"

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        raise method_not_allowed("DELETE")

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)
