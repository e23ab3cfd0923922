"""Virtual machines: size, image, disks, network interface."""

from __future__ import annotations

import copy
from collections.abc import Collection

from emulator.azure.disks import Disk
from emulator.azure.errors import AzureError, change_not_allowed, invalid_parameter, not_emulated
from emulator.azure.identities import check_identity, show_identity
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    check_zones,
    forget_below,
    keep,
    merge_defaults,
    new_guid,
    now,
    require,
    require_unchanged_zones,
    users_of,
)
from emulator.azure.names import DISK, INTERFACE, ResourceId, check_compute_name
from emulator.azure.offers import Image, Size, offers
from emulator.azure.power import RUNNING, set_power_state
from emulator.azure.profiles import complete_profile
from emulator.azure.store import Body, StoredState


class VirtualMachine(ResourceKind):
    """A virtual machine with one network interface, an OS disk from an image, and data disks."""

    def put(self, request: PutRequest) -> None:
        check_compute_name(request.id.name, "vmName", 64)
        check_zones(request)
        require_unchanged_zones(request)
        size = _size(request)
        image = _image(request, size)
        _check_security(request, image, size)
        complete_profile(request)
        check_identity(request)
        _check_interface(request, size)
        _complete_os_disk(request, image, size)
        _check_data_disks(request, size)
        if request.old:
            _check_resize(request, size)
        _fill_in(request)

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        """Allow every deletion: nothing refers to a machine."""

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        storage = body["properties"]["storageProfile"]
        for disk in [storage["osDisk"], *storage["dataDisks"]]:
            if disk["deleteOption"] == "Delete":
                state.resources.pop(disk["managedDisk"]["id"].lower(), None)
        for interface in body["properties"]["networkProfile"]["networkInterfaces"]:
            if interface["properties"]["deleteOption"] == "Delete":
                state.resources.pop(interface["id"].lower(), None)
        forget_below(state, id_)  # the roles that are assigned on it

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        for secret in ("customData", "adminPassword"):
            body["properties"]["osProfile"].pop(secret, None)
        show_identity(state, body)
        _show_disk_sizes(state, body["properties"])
        body["properties"].pop("instanceView")
        body["properties"].pop("userData", None)


def _show_disk_sizes(state: StoredState, properties: Body) -> None:
    """Show the sizes that the disks have now: they grow on their own."""
    storage = properties["storageProfile"]
    for disk in [storage["osDisk"], *storage["dataDisks"]]:
        if found := state.resources.get(disk["managedDisk"]["id"].lower()):
            disk["diskSizeGB"] = found["properties"]["diskSizeGB"]


def _size(request: PutRequest) -> Size:
    name = require(request, "hardwareProfile", "vmSize")
    size = offers().sizes.get(name.lower())
    if size is None:
        known = ", ".join(sorted(each.name for each in offers().sizes.values()))
        raise invalid_parameter(
            f"The requested VM size {name} is not available in the current region. The sizes"
            f" available in the current region are: {known}.",
            "vmSize",
        )
    return size


def _image(request: PutRequest, size: Size) -> Image:
    parts = [
        require(request, "storageProfile", "imageReference", name)
        for name in ("publisher", "offer", "sku", "version")
    ]
    reference = request.properties["storageProfile"]["imageReference"]
    before = (request.old_properties.get("storageProfile") or {}).get("imageReference")
    if before and {**before, **reference} != before:
        raise change_not_allowed("imageReference")
    image = offers().images.get(":".join(parts[:3]).lower())
    exact = image.exact_version(parts[3]) if image else None
    if image is None or exact is None:
        raise AzureError(
            "PlatformImageNotFound",
            f"The platform image '{':'.join(parts)}' is not available. Verify that all fields in"
            " the storage profile are correct. For more details about storage profile information,"
            " please refer to https://aka.ms/storageprofile",
            status=404,
            target="imageReference",
        )
    if image.architecture != size.architecture:
        raise invalid_parameter(
            f"Cannot create a VM of size '{size.name}' because this VM size only supports a CPU"
            f" Architecture of '{size.architecture}', but an image or disk with CPU Architecture"
            f" '{image.architecture}' was given. Please check that the CPU Architecture of the"
            " image or disk is compatible with that of the VM size.",
            "vmSize",
        )
    if image.generation not in size.generations:
        raise AzureError(
            "BadRequest",
            f"The selected VM size '{size.name}' cannot boot Hypervisor Generation"
            f" '{image.generation}'. If this was a Create operation please check that the"
            f" Hypervisor Generation of the Image matches the Hypervisor Generation of the"
            " selected VM Size.",
        )
    reference["exactVersion"] = (before or {}).get("exactVersion", exact)
    return image


def _check_security(request: PutRequest, image: Image, size: Size) -> None:
    profile = request.properties.get("securityProfile") or {}
    kind = profile.get("securityType")
    if request.old:
        before = request.old_properties.get("securityProfile") or {}
        if kind != before.get("securityType"):
            raise change_not_allowed("securityProfile.securityType")
    if kind == "TrustedLaunch" and image.generation != 2:
        raise AzureError(
            "BadRequest",
            "The provided image does not support security type 'TrustedLaunch': Trusted Launch"
            " needs a generation 2 image.",
            target="securityProfile.securityType",
        )
    if kind == "TrustedLaunch" and not size.trusted_launch:
        raise AzureError(
            "BadRequest",
            f"The VM size '{size.name}' is not supported for security type 'TrustedLaunch'.",
            target="securityProfile.securityType",
        )
    if profile.get("uefiSettings") and kind != "TrustedLaunch":
        raise AzureError(
            "BadRequest",
            "Use of UEFI settings is not supported for security type"
            f" '{kind or 'Standard'}'; it needs 'TrustedLaunch'.",
            target="securityProfile.uefiSettings",
        )


def _check_interface(request: PutRequest, size: Size) -> None:
    interfaces = require(request, "networkProfile", "networkInterfaces")
    if len(interfaces) > 1:
        raise not_emulated("A second network interface", "networkProfile.networkInterfaces")
    interface = interfaces[0]
    interface["properties"] = interface.get("properties") or {}
    merge_defaults(interface["properties"], {"primary": True, "deleteOption": "Detach"})
    id_ = ResourceId.parse(interface.get("id") or "")
    found = _find_linked(request, id_, INTERFACE)
    for user in users_of(request.state, id_, {request.id.key}):
        raise AzureError(
            "NicInUse", f"Network Interface {id_} is used by existing resource {user}."
        )
    _check_network(request, found)
    if found["properties"]["enableAcceleratedNetworking"] and not size.accelerated_networking:
        compatible = sorted(
            each.name for each in offers().sizes.values() if each.accelerated_networking
        )
        raise AzureError(
            "VMSizeIsNotPermittedToEnableAcceleratedNetworking",
            f"VM {request.id} has size {size.name}, which is not compatible with enabling"
            f" accelerated networking on network interface(s) on the VM. Compatible VM sizes:"
            f" {', '.join(compatible)}.",
        )


def _check_network(request: PutRequest, interface: Body) -> None:
    """Check that a machine stays in its virtual network. Raises SubnetsNotInSameVnet."""
    profile = request.old_properties.get("networkProfile")
    former = profile and request.state.resources.get(profile["networkInterfaces"][0]["id"].lower())
    subnets = [
        ResourceId.parse(each["properties"]["ipConfigurations"][0]["properties"]["subnet"]["id"])
        for each in (former, interface)
        if each
    ]
    if subnets[0].parent.key != subnets[-1].parent.key:
        raise AzureError(
            "SubnetsNotInSameVnet",
            f"Subnet {subnets[-1]} is not in the same virtual network as subnet {subnets[0]} of"
            f" virtual machine {request.id}.",
        )


def _find_linked(request: PutRequest, id_: ResourceId, type_: str) -> Body:
    """The resource that a machine refers to; compute answers NotFound where network does not."""
    found = request.state.resources.get(id_.key)
    if found is None or found["type"] != type_ or found["location"] != request.region:
        raise AzureError("NotFound", f"Resource {id_} not found.", status=404)
    return found


def _complete_os_disk(request: PutRequest, image: Image, size: Size) -> None:
    disk: Body = require(request, "storageProfile", "osDisk")
    if request.old:
        old = copy.deepcopy(request.old_properties)
        _show_disk_sizes(request.state, old)
        _keep_os_disk(disk, old["storageProfile"]["osDisk"])
    wanted = disk.get("diskSizeGB") or image.disk_size_gb
    if wanted < image.disk_size_gb:
        raise AzureError(
            "OperationNotAllowed",
            f"Disk with size {wanted}GB, which is smaller than the size {image.disk_size_gb}GB of"
            " corresponding disk in Image, is not allowed.",
            status=409,
        )
    name = disk.get("name") or f"{request.id.name}_OsDisk_1_{new_guid().replace('-', '')}"
    merge_defaults(
        disk,
        {
            "name": name,
            "osType": "Linux",
            "caching": "ReadWrite" if size.premium_caching else "None",
            "deleteOption": "Detach",
            "diskSizeGB": wanted,
            "managedDisk": {
                "storageAccountType": "Premium_LRS",
                "id": str(request.id.sibling(DISK, name)),
            },
        },
    )
    _check_caching(disk, size)
    _put_os_disk(request, disk)


def _keep_os_disk(new: Body, old: Body) -> None:
    for name in ("createOption", "name"):
        if new.get(name) is not None and new[name] != old[name]:
            raise change_not_allowed(f"osDisk.{name}")
    if (new.get("managedDisk") or {}).get("id") not in (None, old["managedDisk"]["id"]):
        raise change_not_allowed("osDisk.managedDisk.id")
    merge_defaults(new, {each: old[each] for each in ("name", "diskSizeGB", "managedDisk")})


def _put_os_disk(request: PutRequest, disk: Body) -> None:
    """Store the OS disk as a resource of its own; it outlives the machine unless set to Delete."""
    id_ = ResourceId.parse(disk["managedDisk"]["id"])
    existing = request.state.resources.get(id_.key)
    if existing is not None and not request.old:
        raise AzureError(
            "Conflict",
            f"Disk {id_.name} already exists in resource group {id_.group}. Only"
            " CreateOption.Attach is supported.",
            status=409,
        )
    body: Body = {
        "location": request.region,
        "sku": {"name": disk["managedDisk"]["storageAccountType"]},
        "properties": {
            "creationData": {"createOption": "FromImage"},
            "diskSizeGB": disk["diskSizeGB"],
            "osType": "Linux",
        },
    }
    if request.body.get("zones"):
        body["zones"] = request.body["zones"]
    Disk().put(PutRequest(id_, body, existing, request.state, request.address))
    body |= {"id": str(id_), "name": id_.name, "type": DISK}
    body["properties"]["provisioningState"] = "Succeeded"
    request.state.resources[id_.key] = body


def _check_caching(disk: Body, size: Size) -> None:
    if disk["caching"] != "None" and not size.premium_caching:
        raise invalid_parameter(
            f"Premium storage caching is not supported for VM size {size.name}: the caching of disk"
            f" '{disk['name']}' must be None, not {disk['caching']}.",
            "caching",
        )


def _check_data_disks(request: PutRequest, size: Size) -> None:
    disks = request.properties["storageProfile"].setdefault("dataDisks", [])
    if len(disks) > size.max_data_disks:
        raise AzureError(
            "OperationNotAllowed",
            "The maximum number of data disks allowed to be attached to a VM of this size is"
            f" {size.max_data_disks}.",
            status=409,
            target="dataDisks",
        )
    luns: set[int] = set()
    for disk in disks:
        lun = disk["lun"]
        if lun in luns:
            raise invalid_parameter(f"A disk at LUN {lun} already exists.", "dataDisk.lun")
        if not 0 <= lun < size.max_data_disks:
            raise invalid_parameter(
                f"The value '{lun}' of parameter 'dataDisk.lun' is out of range. Value '{lun}' must"
                f" be between '0' and '{size.max_data_disks - 1}' inclusive.",
                "dataDisk.lun",
            )
        luns.add(lun)
        _attach(request, disk, size)


def _attach(request: PutRequest, disk: Body, size: Size) -> None:
    id_ = ResourceId.parse((disk.get("managedDisk") or {}).get("id") or "")
    found = _find_linked(request, id_, DISK)
    for user in users_of(request.state, id_, {request.id.key}):
        raise AzureError(
            "ConflictingUserInput",
            f"Disk '{id_}' cannot be attached as the disk is already owned by VM '{user}'.",
            status=409,
        )
    if found.get("zones") != request.body.get("zones"):
        raise AzureError(
            "BadRequest",
            f"Disk {id_.name} cannot be attached to the VM because it is not in the same zone as"
            " the VM.",
        )
    actual = {
        "name": id_.name,
        "diskSizeGB": found["properties"]["diskSizeGB"],
        "managedDisk": {"storageAccountType": found["sku"]["name"]},
    }
    for name in ("name", "diskSizeGB"):
        if disk.get(name) not in (None, actual[name]):
            raise change_not_allowed(f"dataDisk.{name}")
    if disk["managedDisk"].get("storageAccountType") not in (None, found["sku"]["name"]):
        raise change_not_allowed("dataDisk.managedDisk.storageAccountType")
    merge_defaults(
        disk, {**actual, "caching": "None", "deleteOption": "Detach", "toBeDetached": False}
    )
    _check_caching(disk, size)


def _check_resize(request: PutRequest, size: Size) -> None:
    before = offers().sizes[request.old_properties["hardwareProfile"]["vmSize"].lower()]
    if bool(before.temp_disk_mib) != bool(size.temp_disk_mib):
        raise AzureError(
            "OperationNotAllowed",
            f"Unable to resize the VM '{request.id.name}' since changing from resource disk to"
            " non-resource disk VM size and vice-versa is not allowed. Please refer to"
            " https://aka.ms/AAah4sj for more details.",
            status=409,
        )


def _fill_in(request: PutRequest) -> None:
    properties = request.properties
    properties["hardwareProfile"]["vmSize"] = _size(request).name
    properties["storageProfile"].setdefault("diskControllerType", "SCSI")
    properties["osProfile"]["requireGuestProvisionSignal"] = True
    keep(request, "vmId", new_guid)
    keep(request, "timeCreated", now)
    if request.old:
        properties["instanceView"] = request.old_properties["instanceView"]
    else:
        set_power_state(request.body, RUNNING)
