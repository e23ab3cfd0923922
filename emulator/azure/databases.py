"""Flexible servers of PostgreSQL, their parameters and databases.

Sources: learn.microsoft.com/azure/postgresql/flexible-server (concepts-networking-private,
concepts-storage, concepts-compute, concepts-high-availability). The messages are not verified.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.kinds import PutRequest, ResourceKind, find, forget_below, merge_defaults
from emulator.azure.names import (
    DATABASE_SERVER,
    PRIVATE_ZONE,
    SUBNET,
    ZONE_LINK,
    ResourceId,
)
from emulator.azure.store import Body, StoredState

DOMAIN = "postgres.database.azure.com"
SERVICE = DATABASE_SERVER
SIZES_GIB = tuple(2**power for power in range(5, 15))
TIERS = {
    "Burstable": r"Standard_B\w+",
    "GeneralPurpose": r"Standard_D\w+",
    "MemoryOptimized": r"Standard_E\w+",
}
RESERVED_LOGINS = (
    "admin",
    "administrator",
    "azure_pg_admin",
    "azure_superuser",
    "guest",
    "public",
    "root",
)
EXTENSIONS = "azure.extensions"
KNOWN_EXTENSIONS = ("PGCRYPTO", "VECTOR")
CONFIGURATIONS = {EXTENSIONS: ""}
"""The parameters that the emulated Azure has, with their default values."""
FIXED = ("administratorLogin", "network", "version")


class DatabaseServer(ResourceKind):
    """A server in a delegated subnet."""

    def put(self, request: PutRequest) -> None:
        _check_name(request)
        properties, old = request.properties, request.old_properties
        # What a PUT leaves out stays as it is.
        merge_defaults(properties, {name: each for name, each in old.items() if name != "state"})
        _check_login(request)
        for name in FIXED:
            if request.old and properties.get(name) != old.get(name):
                raise AzureError(
                    "ParameterNotUpdatable",
                    f"The property '{name}' of server '{request.id.name}' cannot be changed.",
                    target=name,
                )
        _check_network(request)
        _check_hardware(request)
        merge_defaults(
            properties,
            {
                "backup": {"backupRetentionDays": 7, "geoRedundantBackup": "Disabled"},
                "highAvailability": {"mode": "Disabled"},
                "version": "17",
            },
        )
        days = properties["backup"]["backupRetentionDays"]
        if not 7 <= days <= 35:
            raise AzureError(
                "InvalidParameterValue",
                f"Invalid value given for parameter backupRetentionDays: {days}. It is from 7 to"
                " 35.",
                target="backupRetentionDays",
            )
        # The SDKs send an empty one when the program has none.
        properties["availabilityZone"] = properties.get("availabilityZone") or "1"
        properties["state"] = "Ready"
        properties["fullyQualifiedDomainName"] = f"{request.id.name}.{DOMAIN}"
        for name, value in CONFIGURATIONS.items():
            id_ = request.id.child("configurations", name)
            body: Body = {"id": str(id_), "name": name, "type": id_.type}
            body["properties"] = {
                "value": value,
                "source": "system-default",
                "provisioningState": "Succeeded",
            }
            request.state.resources.setdefault(id_.key, body)

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        forget_below(state, id_)

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        for name in ("provisioningState", "administratorLoginPassword"):
            body["properties"].pop(name, None)


def _check_name(request: PutRequest) -> None:
    name = request.id.name
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{1,61}[a-z0-9])", name):
        raise AzureError(
            "InvalidServerName",
            f"The server name '{name}' is not valid. It has 3 to 63 lower-case letters, digits and"
            " hyphens, and neither starts nor ends with a hyphen.",
        )
    for key, other in request.state.of_type(DATABASE_SERVER):
        if key != request.id.key and other["name"] == name:
            raise AzureError(
                "ServerNameAlreadyExists", "Specified server name is already used.", status=409
            )


def _check_login(request: PutRequest) -> None:
    properties = request.properties
    login, password = (
        properties.get(name) or "" for name in ("administratorLogin", "administratorLoginPassword")
    )
    fits = re.fullmatch(r"[A-Za-z_]\w{0,62}", login, re.ASCII) and not login.startswith("pg_")
    if not fits or login in RESERVED_LOGINS:
        raise AzureError(
            "InvalidParameterValue",
            "Invalid value given for parameter administratorLogin. Specify a valid parameter"
            " value.",
            target="administratorLogin",
        )
    kinds = sum(bool(re.search(one, password)) for one in ("[a-z]", "[A-Z]", "[0-9]", r"[^\w]"))
    if not 8 <= len(password) <= 128 or kinds < 3 or login.lower() in password.lower():
        raise AzureError(
            "PasswordTooWeak",
            "Password is too weak. Your password must be at least 8 characters and at most 128"
            " characters. Your password must contain characters from three of the following"
            " categories - English uppercase letters, English lowercase letters, numbers (0-9), and"
            " non-alphanumeric characters (!, $, #, %, etc.).",
            target="administratorLoginPassword",
        )


def _check_network(request: PutRequest) -> None:
    network = request.properties.get("network") or {}
    subnet_id = network.get("delegatedSubnetResourceId")
    zone_id = network.get("privateDnsZoneArmResourceId")
    if not subnet_id or not zone_id:
        raise not_emulated("A server without a delegated subnet and a private DNS zone", "network")
    subnet = find(request.state, subnet_id, SUBNET, "delegatedSubnetResourceId")
    delegations = request.state.resources[subnet.key]["properties"]["delegations"]
    if [each["properties"]["serviceName"] for each in delegations] != [SERVICE]:
        raise AzureError(
            "InvalidParameterValue",
            f"The subnet {subnet} is not delegated to {SERVICE}.",
            target="delegatedSubnetResourceId",
        )
    zone = find(request.state, zone_id, PRIVATE_ZONE, "privateDnsZoneArmResourceId")
    if not zone.name.endswith(f".{DOMAIN}") or zone.name == f"{request.id.name}.{DOMAIN}":
        raise AzureError(
            "InvalidPrivateDnsZoneName",
            f"The private DNS zone '{zone.name}' must end with '.{DOMAIN}', and not be the server's"
            " own name.",
            target="privateDnsZoneArmResourceId",
        )
    linked = any(
        key.startswith(f"{zone.key}/")
        and link["properties"]["virtualNetwork"]["id"].lower() == subnet.parent.key
        for key, link in request.state.of_type(ZONE_LINK)
    )
    if not request.old and not linked:
        raise AzureError(
            "PrivateDnsZoneNotLinkedToVirtualNetwork",
            f"The private DNS zone {zone} is not linked to the virtual network {subnet.parent}.",
            target="privateDnsZoneArmResourceId",
        )


def _check_hardware(request: PutRequest) -> None:
    sku, properties = request.body.get("sku"), request.properties
    if sku is None:
        sku = request.body["sku"] = (request.old or {}).get("sku") or {}
    if not re.fullmatch(TIERS.get(sku.get("tier", ""), ""), sku.get("name", "")):
        raise AzureError(
            "InvalidParameterValue",
            f"The size '{sku.get('name')}' is not one of the tier '{sku.get('tier')}'.",
            target="sku",
        )
    mode = (properties.get("highAvailability") or {}).get("mode", "Disabled")
    if sku["tier"] == "Burstable" and mode != "Disabled":
        raise AzureError(
            "HANotSupportedForBurstable",
            "High availability is not supported for the Burstable tier.",
            target="highAvailability",
        )
    storage = properties.setdefault("storage", {})
    merge_defaults(storage, {"storageSizeGB": 32, "autoGrow": "Disabled", "type": "Premium_LRS"})
    size = storage["storageSizeGB"]
    former = (request.old_properties.get("storage") or {}).get("storageSizeGB", 0)
    if size not in SIZES_GIB or size < former:
        raise AzureError(
            "InvalidParameterValue",
            f"The storage size {size} is not possible. It is one of"
            f" {', '.join(map(str, SIZES_GIB))} GiB, and never becomes smaller.",
            target="storageSizeGB",
        )


class ServerConfiguration(ResourceKind):
    """A parameter of a server. Every server has all of them, with their default values."""

    def put(self, request: PutRequest) -> None:
        name = request.id.name
        if name not in CONFIGURATIONS:
            raise not_emulated(f"The server parameter '{name}'")
        value = request.properties.get("value") or ""
        wanted = [each for each in value.split(",") if each]
        unknown = [each for each in wanted if each.upper() not in KNOWN_EXTENSIONS]
        if unknown:
            raise AzureError(
                "InvalidParameterValue",
                f"The value: [{', '.join(unknown)}] of Server Parameter: [{name}] is invalid. The"
                f" allowed values are: [{', '.join(KNOWN_EXTENSIONS)}]",
                target="value",
            )
        merge_defaults(request.properties, {"value": value, "source": "user-override"})

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        raise AzureError("MethodNotAllowed", "A server parameter cannot be deleted.", status=405)

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)


class Database(ResourceKind):
    """A database of a server."""

    def put(self, request: PutRequest) -> None:
        if not re.fullmatch(r"[A-Za-z_][\w-]{0,62}", request.id.name, re.ASCII):
            raise AzureError(
                "InvalidDatabaseName", f"The database name '{request.id.name}' is not valid."
            )
        properties, old = request.properties, request.old_properties
        merge_defaults(properties, {"charset": "UTF8", "collation": "en_US.utf8"})
        for name in ("charset", "collation"):
            if old and properties[name] != old[name]:
                raise AzureError(
                    "InvalidParameterValue",
                    f"The property '{name}' of a database cannot be changed.",
                    target=name,
                )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)
