"""Managed disks."""

from __future__ import annotations

from collections.abc import Collection

from emulator.azure.errors import AzureError, change_not_allowed, invalid_parameter
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    check_zones,
    keep,
    merge_defaults,
    new_guid,
    now,
    require_unchanged_zones,
    users_of,
)
from emulator.azure.names import ResourceId, check_compute_name
from emulator.azure.power import DEALLOCATED, power_state
from emulator.azure.store import Body, StoredState


class Disk(ResourceKind):
    """A managed disk: created empty, or from an image as a machine's OS disk."""

    def put(self, request: PutRequest) -> None:
        check_compute_name(request.id.name, "diskName", 80)
        check_zones(request)
        require_unchanged_zones(request)
        merge_defaults(request.body, {"sku": {"name": "Standard_LRS"}})
        self._check_size(request)
        if request.old_properties.get("creationData"):
            self._keep_creation(request)
        tier = request.body["sku"]["name"].partition("_")[0]
        request.body["sku"]["tier"] = {"StandardSSD": "Standard"}.get(tier, tier)
        size: int = request.properties["diskSizeGB"]
        merge_defaults(
            request.properties,
            {
                "networkAccessPolicy": "AllowAll",
                "publicNetworkAccess": "Enabled",
                "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
            },
        )
        request.properties["diskSizeBytes"] = size * 1024**3
        keep(request, "uniqueId", new_guid)
        keep(request, "timeCreated", now)

    def _check_size(self, request: PutRequest) -> None:
        properties = request.properties
        if properties.get("diskSizeGB") is None:
            properties["diskSizeGB"] = request.old_properties.get("diskSizeGB")
        size = properties["diskSizeGB"]
        if size is None:
            raise invalid_parameter(
                "Required parameter 'disk.diskSizeGB' is missing (null).", "disk.diskSizeGB"
            )
        if not 1 <= size <= 32767:
            raise invalid_parameter(
                f"The value '{size}' of parameter 'disk.diskSizeGB' is out of range. Value '{size}'"
                " must be between '1' and '32767' inclusive.",
                "disk.diskSizeGB",
            )
        if size < request.old_properties.get("diskSizeGB", 0):
            raise AzureError(
                "InvalidResizeWithName",
                f"The disk/snapshot resource with id {request.id} cannot be resized down. Reducing"
                " disk/snapshot size is not supported in Azure to prevent data loss. If you do need"
                " to reduce the size of the disk, please create new snapshot/disks with the"
                " appropriate size. More information is available at https://aka.ms/AzureDisksFAQ.",
            )
        _check_growth(request, size)

    def _keep_creation(self, request: PutRequest) -> None:
        old, new = request.old_properties, request.properties
        if old["creationData"]["createOption"] != new["creationData"]["createOption"]:
            raise change_not_allowed("creationData.createOption")
        if new.get("osType") is None and old.get("osType") is not None:
            new["osType"] = old["osType"]

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "OperationNotAllowed",
                f"Disk {id_.name} is attached to VM {users[0]}.",
                status=409,
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        body["properties"]["diskState"] = "Attached" if users else "Unattached"
        if users:
            body["managedBy"] = users[0]


def _check_growth(request: PutRequest, size: int) -> None:
    """Allow a data disk below 4 TiB to grow in use; any other disk needs its machine stopped."""
    before = request.old_properties.get("diskSizeGB", size)
    online = request.old_properties.get("osType") is None and (before > 4095) == (size > 4095)
    if size == before or online:
        return
    for user in users_of(request.state, request.id):
        if power_state(request.state.resources[user.lower()]) != DEALLOCATED:
            raise AzureError(
                "OperationNotAllowed",
                f"Cannot resize disk {request.id.name} while it is attached to running VM {user}."
                " Resizing a disk of an Azure Virtual Machine requires the virtual machine to be"
                " deallocated. Please stop your VM and retry the operation.",
                status=409,
            )
