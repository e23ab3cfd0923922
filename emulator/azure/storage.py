"""Storage accounts: their names, their blob service, containers."""

from __future__ import annotations

import re
from collections.abc import Collection

from emulator.azure.errors import AzureError
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    forget_below,
    keep,
    merge_defaults,
    now,
)
from emulator.azure.names import BLOB_SERVICE, STORAGE_ACCOUNT, ResourceId
from emulator.azure.store import Body, StoredState

BLOB_DOMAIN = "blob.core.windows.net"
BLOB_DEFAULTS: Body = {
    "isVersioningEnabled": False,
    "deleteRetentionPolicy": {"enabled": False, "allowPermanentDelete": False},
    "containerDeleteRetentionPolicy": {"enabled": False},
}


class StorageAccount(ResourceKind):
    """A general-purpose account, which has a blob service as soon as it exists."""

    def put(self, request: PutRequest) -> None:
        name = request.id.name
        check_account_name(name)
        _check_free(request)
        if request.old and request.old["sku"]["name"] != request.body["sku"]["name"]:
            raise AzureError(
                "AccountPropertyCannotBeUpdated",
                "The property 'sku.name' was specified in the input, but it cannot be updated: a"
                " change of the redundancy is a conversion of the account.",
                target="sku.name",
            )
        request.body["sku"]["tier"] = "Standard"
        merge_defaults(
            request.properties,
            {
                "accessTier": "Hot",
                "allowBlobPublicAccess": False,
                "allowCrossTenantReplication": False,
                "allowSharedKeyAccess": True,
                "defaultToOAuthAuthentication": False,
                "minimumTlsVersion": "TLS1_0",
                "publicNetworkAccess": "Enabled",
                "supportsHttpsTrafficOnly": True,
            },
        )
        for service in (request.properties.get("encryption") or {}).get("services", {}).values():
            merge_defaults(service, {"enabled": True, "keyType": "Account"})
        request.properties["primaryEndpoints"] = {"blob": f"https://{name}.{BLOB_DOMAIN}/"}
        request.properties["primaryLocation"] = request.region
        request.properties["statusOfPrimary"] = "available"
        keep(request, "creationTime", now)
        _add_blob_service(request)

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        forget_below(state, id_)


def check_account_name(name: str) -> None:
    """Check a name: 3 to 24 digits and lower-case letters. Raises AccountNameInvalid."""
    if not re.fullmatch(r"[a-z0-9]{3,24}", name):
        raise AzureError(
            "AccountNameInvalid",
            f"{name} is not a valid storage account name. Storage account name must be between"
            " 3 and 24 characters in length and use numbers and lower-case letters only.",
            target="accountName",
        )


def _check_free(request: PutRequest) -> None:
    """Check that no other account of Azure has the name, in whichever subscription."""
    for key, other in request.state.of_type(STORAGE_ACCOUNT):
        if key == request.id.key or other["name"].lower() != request.id.name:
            continue
        if ResourceId.parse(other["id"]).subscription.lower() == request.id.subscription.lower():
            raise AzureError(
                "StorageAccountInAnotherResourceGroup",
                f"The account {request.id.name} is already in another resource group in this"
                " subscription.",
                status=409,
                target=request.id.name,
            )
        raise AzureError(
            "StorageAccountAlreadyTaken",
            f"The storage account named {request.id.name} is already taken.",
            status=409,
            target=request.id.name,
        )


def _add_blob_service(request: PutRequest) -> None:
    id_ = request.id.child("blobServices", "default")
    properties: Body = {"provisioningState": "Succeeded"}
    merge_defaults(properties, BLOB_DEFAULTS)
    body = {"id": str(id_), "name": "default", "type": BLOB_SERVICE, "properties": properties}
    request.state.resources.setdefault(id_.key, body)


class BlobService(ResourceKind):
    """The blob service of an account. It has one, which cannot be deleted."""

    def put(self, request: PutRequest) -> None:
        if request.id.name != "default":
            raise AzureError(
                "InvalidResourceName",
                f"The name of a blob service is 'default', not '{request.id.name}'.",
            )
        for name in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            _check_retention(name, request.properties.get(name) or {})
        # What a PUT leaves out stays as it is.
        merge_defaults(request.properties, request.old_properties)

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        raise AzureError(
            "UnsupportedOperation",
            "The blob service of a storage account cannot be deleted.",
            status=405,
        )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)


def _check_retention(name: str, policy: Body) -> None:
    days, enabled = policy.get("days"), policy.get("enabled")
    if (enabled and (days is None or not 1 <= days <= 365)) or (days is not None and not enabled):
        raise AzureError(
            "InvalidValuesForRequestParameters",
            f"Values for request parameters are invalid: {name}.days.",
            target=f"{name}.days",
        )


class Container(ResourceKind):
    """A container of blobs."""

    def put(self, request: PutRequest) -> None:
        name = request.id.name
        if not 3 <= len(name) <= 63 or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise AzureError(
                "InvalidResourceName",
                f"The specified resource name contains invalid characters: '{name}'. A container's"
                " name has 3 to 63 lower-case letters, digits and single hyphens between them.",
            )
        merge_defaults(request.properties, {"publicAccess": "None"})
        account = request.state.resources[request.id.parent.parent.key]
        public = account["properties"]["allowBlobPublicAccess"]
        if request.properties["publicAccess"] != "None" and not public:
            raise AzureError(
                "PublicAccessNotPermitted",
                "Public access is not permitted on this storage account.",
                status=409,
            )
        keep(request, "lastModifiedTime", now)
        request.properties["leaseState"], request.properties["leaseStatus"] = (
            "Available",
            "Unlocked",
        )

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        forget_below(state, id_)

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)
