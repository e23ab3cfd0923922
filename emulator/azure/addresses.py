"""Public addresses."""

from __future__ import annotations

import re
from collections.abc import Collection

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    check_zones,
    keep,
    merge_defaults,
    new_guid,
    refer,
    require_unchanged_zones,
    users_of,
)
from emulator.azure.names import ADDRESS, NAT_GATEWAY, ResourceId, check_network_name
from emulator.azure.store import Body, StoredState


class PublicAddress(ResourceKind):
    """A Standard static public address. It gets its address when it is created."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name)
        check_zones(request)
        require_unchanged_zones(request)
        merge_defaults(
            request.body,
            {
                "sku": {"name": "Basic", "tier": "Regional"},
                "properties": {
                    "publicIPAllocationMethod": "Dynamic",
                    "publicIPAddressVersion": "IPv4",
                    "idleTimeoutInMinutes": 4,
                    "ipTags": [],
                    "ddosSettings": {"protectionMode": "VirtualNetworkInherited"},
                },
            },
        )
        _check_address(request)
        if request.properties.get("dnsSettings"):
            _complete_dns(request)
        keep(request, "resourceGuid", new_guid)
        keep(request, "ipAddress", lambda: _free_address(request))

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "PublicIPAddressCannotBeDeleted",
                f"Public IP address {id_} can not be deleted since it is still allocated to"
                f" resource {users[0]}. In order to delete the public IP, disassociate/detach the"
                " Public IP address from the resource. To learn how to do this, see"
                " aka.ms/deletepublicip.",
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        if users:
            gateway = ResourceId.parse(users[0]).type == NAT_GATEWAY
            body["properties"]["natGateway" if gateway else "ipConfiguration"] = {"id": users[0]}


def check_public_address(request: PutRequest, part: str, reference: Body | None) -> None:
    """Check that no other resource has the address. Raises PublicIPAddressInUse."""
    address = refer(request, reference, ADDRESS)
    if address is None:
        return
    for user in users_of(request.state, ResourceId.parse(address["id"]), {request.id.key}):
        raise AzureError(
            "PublicIPAddressInUse",
            f"Resource {part} is referencing public IP address {address['id']} that is already"
            f" allocated to resource {user}.",
        )


def _check_address(request: PutRequest) -> None:
    properties, sku = request.properties, request.body["sku"]
    if request.old is not None and request.old["sku"] != sku:
        raise AzureError(
            "PublicIPAddressSkuCannotBeChanged",
            "Sku property is set at creation time and cannot be changed from"
            f" {request.old['sku']['name']} to {sku['name']} on resource update for resource"
            f" {request.id}.",
        )
    if sku["name"] == "Basic":
        raise AzureError(
            "IPv4BasicSkuPublicIpCountLimitReached",
            "Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in"
            " this region.",
        )
    if sku["tier"] == "Global" or properties["publicIPAddressVersion"] == "IPv6":
        raise not_emulated("A Global or IPv6 public address")
    if properties["publicIPAllocationMethod"] != "Static":
        raise AzureError(
            "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic",
            f"Standard sku publicIp {request.id} must have AllocationMethod set to Static.",
        )
    if not 4 <= properties["idleTimeoutInMinutes"] <= 30:
        raise AzureError(
            "InvalidIdleTimeoutInMinutes",
            f"Public IP address {request.id} has an idle timeout of"
            f" {properties['idleTimeoutInMinutes']} minutes. It must be between 4 and 30.",
            target="idleTimeoutInMinutes",
        )


def _complete_dns(request: PutRequest) -> None:
    settings = request.properties["dnsSettings"]
    label = settings.get("domainNameLabel")
    if label is None:
        raise not_emulated("dnsSettings without domainNameLabel", "dnsSettings")
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,61}[a-z0-9]", label):
        raise AzureError(
            "InvalidDomainNameLabel",
            f"The domain name label {label} is invalid. It must conform to the following regular"
            " expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.",
        )
    settings["fqdn"] = f"{label}.{request.region}.cloudapp.azure.com"
    for key, other in request.state.of_type(ADDRESS):
        taken = (other["properties"].get("dnsSettings") or {}).get("fqdn")
        if key != request.id.key and taken == settings["fqdn"]:
            raise AzureError(
                "DnsRecordInUse",
                f"DNS record {settings['fqdn']} is already used by another public IP.",
            )


def _free_address(request: PutRequest) -> str:
    taken = {body["properties"]["ipAddress"] for _, body in request.state.of_type(ADDRESS)}
    for index in range(250):
        if (address := request.address(index)) not in taken:
            return address
    raise AzureError(
        "PublicIPCountLimitReached",
        "Cannot create more than 250 public IP addresses for this subscription in this region.",
    )
