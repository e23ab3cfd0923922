"""Microsoft.Compute: disks and virtual machines."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from emulator.azure.errors import AzureError, change_not_allowed, invalid_parameter, not_emulated
from emulator.azure.kinds import (
    Kind,
    Put,
    check_zones,
    keep,
    merge_defaults,
    new_guid,
    require_unchanged_zones,
    users_of,
)
from emulator.azure.names import ResourceId, check_compute_name
from emulator.azure.network import INTERFACE
from emulator.azure.offers import Image, Size, offers
from emulator.azure.store import Body, State

DISK = "Microsoft.Compute/disks"
MACHINE = "Microsoft.Compute/virtualMachines"

RUNNING, STOPPED, DEALLOCATED = "running", "stopped", "deallocated"

# fmt: off
FORBIDDEN_ADMINS = frozenset({
    "administrator", "admin", "user", "user1", "test", "user2", "test1", "user3", "admin1",
    "1", "123", "a", "actuser", "adm", "admin2", "aspnet", "backup", "console", "david",
    "guest", "john", "owner", "root", "server", "sql", "support", "support_388945a0", "sys",
    "test2", "test3", "user4", "user5",
})
FORBIDDEN_PASSWORDS = frozenset({
    "abc@123", "P@$$w0rd", "P@ssw0rd", "P@ssword123", "Pa$$word", "pass@word1", "Password!",
    "Password1", "Password22", "iloveyou!",
})
# fmt: on
MAX_CUSTOM_DATA = 87380
"""Characters of base64: 65,535 bytes."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Disk(Kind):
    """A managed disk: made empty, or from an image as a machine's OS disk."""

    def put(self, request: Put) -> None:
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

    def _check_size(self, request: Put) -> None:
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

    def _keep_creation(self, request: Put) -> None:
        old, new = request.old_properties, request.properties
        if old["creationData"]["createOption"] != new["creationData"]["createOption"]:
            raise change_not_allowed("creationData.createOption")
        if new.get("osType") is None and old.get("osType") is not None:
            new["osType"] = old["osType"]

    def check_delete(self, state: State, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "OperationNotAllowed",
                f"Disk {id_.name} is attached to VM {users[0]}.",
                status=409,
            )

    def view(self, state: State, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        body["properties"]["diskState"] = "Attached" if users else "Unattached"
        if users:
            body["managedBy"] = users[0]


def _check_growth(request: Put, size: int) -> None:
    """A data disk below 4 TiB grows while it is in use; any other needs its machine stopped."""
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


class VirtualMachine(Kind):
    """A virtual machine with one network interface, an OS disk from an image, and data disks."""

    def put(self, request: Put) -> None:
        check_compute_name(request.id.name, "vmName", 64)
        check_zones(request)
        require_unchanged_zones(request)
        size = _size(request)
        image = _image(request, size)
        _check_security(request, image, size)
        _complete_profile(request)
        _check_interface(request, size)
        _complete_os_disk(request, image, size)
        _check_data_disks(request, size)
        if request.old:
            _check_resize(request, size)
        _fill_in(request)

    def check_delete(self, state: State, id_: ResourceId, leaving: Collection[str]) -> None:
        """Nothing refers to a machine."""

    def removed(self, state: State, id_: ResourceId, body: Body) -> None:
        storage = body["properties"]["storageProfile"]
        for disk in [storage["osDisk"], *storage["dataDisks"]]:
            if disk["deleteOption"] == "Delete":
                state.resources.pop(disk["managedDisk"]["id"].lower(), None)
        for interface in body["properties"]["networkProfile"]["networkInterfaces"]:
            if interface["properties"]["deleteOption"] == "Delete":
                state.resources.pop(interface["id"].lower(), None)

    def view(self, state: State, id_: ResourceId, body: Body) -> None:
        for secret in ("customData", "adminPassword"):
            body["properties"]["osProfile"].pop(secret, None)
        body["properties"].pop("instanceView")
        body["properties"].pop("userData", None)


def power_state(machine: Body) -> str:
    """running, stopped or deallocated."""
    code: str = machine["properties"]["instanceView"]["statuses"][0]["code"]
    return code.partition("/")[2]


def set_power_state(machine: Body, state: str) -> None:
    """Note what the machine does, as ARM's instance view says it."""
    machine["properties"]["instanceView"] = {
        "statuses": [{"code": f"PowerState/{state}", "displayStatus": f"VM {state}"}]
    }


def _required(request: Put, *path: str) -> Any:
    node: Any = request.properties
    for name in path:
        node = (node or {}).get(name)
    if node in (None, "", []):
        name = ".".join(path)
        raise invalid_parameter(f"Required parameter '{name}' is missing (null).", name)
    return node


def _size(request: Put) -> Size:
    name = _required(request, "hardwareProfile", "vmSize")
    size = offers().sizes.get(name.lower())
    if size is None:
        known = ", ".join(sorted(each.name for each in offers().sizes.values()))
        raise invalid_parameter(
            f"The requested VM size {name} is not available in the current region. The sizes"
            f" available in the current region are: {known}.",
            "vmSize",
        )
    return size


def _image(request: Put, size: Size) -> Image:
    parts = [
        _required(request, "storageProfile", "imageReference", name)
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


def _check_security(request: Put, image: Image, size: Size) -> None:
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


def _complete_profile(request: Put) -> None:
    """osProfile: checked in full when the machine is made, compared when it exists."""
    if request.old and request.properties.get("osProfile") is None:
        request.properties["osProfile"] = request.old_properties["osProfile"]
        return
    profile: Body = _required(request, "osProfile")
    profile.setdefault("computerName", request.id.name)
    merge_defaults(
        profile,
        {
            "allowExtensionOperations": True,
            "secrets": [],
            "linuxConfiguration": {
                "disablePasswordAuthentication": False,
                "provisionVMAgent": True,
                "patchSettings": {"assessmentMode": "ImageDefault", "patchMode": "ImageDefault"},
            },
        },
    )
    if request.old:
        _check_profile_unchanged(profile, request.old_properties["osProfile"])
        return
    _check_computer_name(profile["computerName"])
    _check_admin(_required(request, "osProfile", "adminUsername"))
    _check_custom_data(profile.get("customData"))
    _check_access(profile)


def _check_profile_unchanged(new: Body, old: Body) -> None:
    """Secrets need not be said again; what is said must be what it was."""
    for secret in ("customData", "adminPassword"):
        if new.get(secret) is None and old.get(secret) is not None:
            new[secret] = old[secret]
        if new.get(secret) != old.get(secret):
            raise change_not_allowed(secret)
    for name in ("adminUsername", "computerName"):
        if new.get(name) != old.get(name):
            raise change_not_allowed(f"osProfile.{name}")
    configuration, before = new["linuxConfiguration"], old["linuxConfiguration"]
    for key in (configuration.get("ssh") or {}).get("publicKeys") or []:
        key.setdefault("path", _key_path(new["adminUsername"]))
    if configuration.get("ssh") != before.get("ssh"):
        raise change_not_allowed("linuxConfiguration.ssh.publicKeys")
    name = "disablePasswordAuthentication"
    if configuration[name] != before[name]:
        raise change_not_allowed(f"linuxConfiguration.{name}")


def _check_computer_name(name: str) -> None:
    forbidden = "` ~ ! @ # $ % ^ & * ( ) = + _ [ ] { } \\ | ; : ' \" , < > / ?"
    if len(name) > 64 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
        raise invalid_parameter(
            "Linux host name cannot exceed 64 characters in length or contain the following"
            f" characters: {forbidden}.",
            "computerName",
        )


def _check_admin(name: str) -> None:
    if (
        len(name) > 64
        or name.lower() in FORBIDDEN_ADMINS
        or not re.fullmatch(r"[a-z_][\w-]*", name)
    ):
        raise invalid_parameter("The Admin Username specified is not allowed.", "adminUsername")


def _check_custom_data(text: str | None) -> None:
    if text is None:
        return
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        valid = False
    else:
        valid = len(text) <= MAX_CUSTOM_DATA
    if not valid:
        raise invalid_parameter(
            "Custom data in OSProfile must be in Base64 encoding and with a maximum length of"
            f" {MAX_CUSTOM_DATA} characters.",
            "osProfile.customData",
        )


def _check_access(profile: Body) -> None:
    configuration = profile["linuxConfiguration"]
    keys = (configuration.get("ssh") or {}).get("publicKeys") or []
    password = profile.get("adminPassword")
    if configuration["disablePasswordAuthentication"] and password is not None:
        raise invalid_parameter(
            "'adminPassword' must not be given when password authentication is disabled.",
            "adminPassword",
        )
    if not keys and (password is None or configuration["disablePasswordAuthentication"]):
        raise invalid_parameter(
            "Authentication using either SSH or by user name and password must be enabled in Linux"
            " profile.",
            "linuxConfiguration",
        )
    if password is not None:
        _check_password(password)
    for key in keys:
        _check_key(key, profile["adminUsername"])


def _check_password(password: str) -> None:
    if password in FORBIDDEN_PASSWORDS:
        raise invalid_parameter("The Admin password specified is not allowed.", "adminPassword")
    classes = sum(bool(re.search(each, password)) for each in ("[a-z]", "[A-Z]", r"\d", r"[\W_]"))
    if not 6 <= len(password) <= 72 or classes < 3:
        raise invalid_parameter(
            "The supplied password must be between 6-72 characters long and must satisfy at least"
            " 3 of password complexity requirements from the following: uppercase, lowercase,"
            " numeric digit, special character",
            "adminPassword",
        )


def _key_path(admin: str) -> str:
    return f"/home/{admin}/.ssh/authorized_keys"


def _check_key(key: Body, admin: str) -> None:
    path = _key_path(admin)
    if key.setdefault("path", path) != path:
        raise invalid_parameter(
            "Destination path for Ssh public keys is currently limited to its default value"
            f" {path} due to a known issue in Linux provisioning agent.",
            "linuxConfiguration.ssh.publicKeys.path",
        )
    try:
        parsed = load_ssh_public_key((key.get("keyData") or "").strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        parsed = None
    strong = isinstance(parsed, RSAPublicKey) and parsed.key_size >= 2048
    if not strong and not isinstance(parsed, Ed25519PublicKey):
        raise invalid_parameter(
            "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.",
            "linuxConfiguration.ssh.publicKeys.keyData",
        )


def _check_interface(request: Put, size: Size) -> None:
    interfaces = _required(request, "networkProfile", "networkInterfaces")
    if len(interfaces) > 1:
        raise not_emulated("A second network interface", "networkProfile.networkInterfaces")
    interface = interfaces[0]
    interface["properties"] = interface.get("properties") or {}
    merge_defaults(interface["properties"], {"primary": True, "deleteOption": "Detach"})
    id_ = ResourceId.parse(interface.get("id") or "")
    found = _linked(request, id_, INTERFACE)
    for user in users_of(request.state, id_, {request.id.key}):
        raise AzureError(
            "NicInUse", f"Network Interface {id_} is used by existing resource {user}."
        )
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


def _linked(request: Put, id_: ResourceId, type_: str) -> Body:
    """What a machine refers to; compute says NotFound where network says otherwise."""
    found = request.state.resources.get(id_.key)
    if found is None or found["type"] != type_ or found["location"] != request.region:
        raise AzureError("NotFound", f"Resource {id_} not found.", status=404)
    return found


def _complete_os_disk(request: Put, image: Image, size: Size) -> None:
    disk: Body = _required(request, "storageProfile", "osDisk")
    if request.old:
        _keep_os_disk(disk, request.old_properties["storageProfile"]["osDisk"])
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
    if (new.get("diskSizeGB") or old["diskSizeGB"]) < old["diskSizeGB"]:
        raise AzureError(
            "InvalidResizeWithName",
            f"The disk/snapshot resource with id {old['managedDisk']['id']} cannot be resized down."
            " Reducing disk/snapshot size is not supported in Azure to prevent data loss.",
        )
    merge_defaults(new, {each: old[each] for each in ("name", "diskSizeGB", "managedDisk")})


def _put_os_disk(request: Put, disk: Body) -> None:
    """The OS disk is a resource of its own, and outlives the machine unless it says Delete."""
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
    Disk().put(Put(id_, body, existing, request.state, request.address))
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


def _check_data_disks(request: Put, size: Size) -> None:
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


def _attach(request: Put, disk: Body, size: Size) -> None:
    id_ = ResourceId.parse((disk.get("managedDisk") or {}).get("id") or "")
    found = _linked(request, id_, DISK)
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


def _check_resize(request: Put, size: Size) -> None:
    before = offers().sizes[request.old_properties["hardwareProfile"]["vmSize"].lower()]
    if bool(before.temp_disk_mib) != bool(size.temp_disk_mib):
        raise AzureError(
            "OperationNotAllowed",
            f"Unable to resize the VM '{request.id.name}' since changing from resource disk to"
            " non-resource disk VM size and vice-versa is not allowed. Please refer to"
            " https://aka.ms/AAah4sj for more details.",
            status=409,
        )


def _fill_in(request: Put) -> None:
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


ACTIONS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "start": (RUNNING, lambda state: True),
    "restart": (RUNNING, lambda state: state == RUNNING),
    "poweroff": (STOPPED, lambda state: state != DEALLOCATED),
    "deallocate": (DEALLOCATED, lambda state: True),
}
"""What can be done to a machine: the state it is in afterwards, and in which states it may be."""
