"""Network interfaces and their addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from emulator.azure.addresses import check_public_address
from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    keep,
    merge_defaults,
    new_guid,
    refer,
    users_of,
)
from emulator.azure.names import SECURITY_GROUP, SUBNET, ResourceId, check_network_name
from emulator.azure.networks import addresses_in_use, subnet_prefix
from emulator.azure.store import Body, StoredState


class NetworkInterface(ResourceKind):
    """A network interface with one IP configuration."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name)
        configurations = request.properties.get("ipConfigurations") or []
        if not configurations:
            raise AzureError(
                "NetworkInterfaceMustHaveIpConfiguration",
                f"Network interface {request.id} must have at least one IP configuration.",
                target="ipConfigurations",
            )
        if len(configurations) > 1:
            raise not_emulated("A second IP configuration", "ipConfigurations")
        refer(request, request.properties.get("networkSecurityGroup"), SECURITY_GROUP)
        _complete_configuration(request, configurations[0])
        merge_defaults(
            request.properties,
            {
                "enableAcceleratedNetworking": False,
                "enableIPForwarding": False,
                "dnsSettings": {"dnsServers": []},
                "nicType": "Standard",
            },
        )
        keep(request, "resourceGuid", new_guid)

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "NicInUse",
                f"Network Interface {id_} is used by existing resource {users[0]}. In order to"
                " delete the network interface, it must be dissociated from the resource. To learn"
                " more, see aka.ms/deletenic.",
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        if users:
            digits = hashlib.sha256(id_.key.encode()).hexdigest()[:6].upper()
            body["properties"]["virtualMachine"] = {"id": users[0]}
            body["properties"]["primary"] = True
            body["properties"]["macAddress"] = "00-0D-3A-" + "-".join(
                digits[place : place + 2] for place in (0, 2, 4)
            )


def _complete_configuration(request: PutRequest, configuration: Body) -> None:
    check_network_name(configuration.get("name") or "")
    properties = configuration.setdefault("properties", {})
    configuration["id"] = f"{request.id}/ipConfigurations/{configuration['name']}"
    configuration["type"] = "Microsoft.Network/networkInterfaces/ipConfigurations"
    subnet = refer(request, properties.get("subnet"), SUBNET)
    if subnet is None:
        raise AzureError(
            "SubnetIsRequired",
            f"Subnet reference is required for ipConfiguration {configuration['id']}.",
        )
    properties["subnet"] = {"id": properties["subnet"]["id"]}
    _check_subnet(request, subnet)
    check_public_address(request, configuration["id"], properties.get("publicIPAddress"))
    if properties.get("privateIPAddressVersion") == "IPv6":
        raise not_emulated("An IPv6 address", "privateIPAddressVersion")
    merge_defaults(
        properties,
        {
            "primary": True,
            "privateIPAddressVersion": "IPv4",
            "privateIPAllocationMethod": "Dynamic",
        },
    )
    properties["privateIPAddress"] = _private_address(request, configuration, subnet)
    properties["provisioningState"] = "Succeeded"


def _check_subnet(request: PutRequest, subnet: Body) -> None:
    """Check that a machine may be in the subnet, and that an interface stays in its network."""
    id_ = ResourceId.parse(subnet["id"])
    delegations = subnet["properties"]["delegations"]
    if delegations:
        service = delegations[0]["properties"]["serviceName"]
        raise AzureError(
            "ResourceNotPermittedOnDelegatedSubnet",
            f"Resource {request.id} is not permitted on subnet {id_}, which is delegated to"
            f" {service}.",
        )
    former = (request.old_properties.get("ipConfigurations") or [{}])[0].get("properties")
    if former and ResourceId.parse(former["subnet"]["id"]).parent.key != id_.parent.key:
        raise AzureError(
            "SubnetsNotInSameVnet",
            f"Network interface {request.id} is in subnet {former['subnet']['id']}. Subnet {id_} is"
            " not in the same virtual network, and an interface cannot leave its virtual network.",
        )


def _private_address(request: PutRequest, configuration: Body, subnet: Body) -> str:
    properties = configuration["properties"]
    id_ = ResourceId.parse(subnet["id"])
    prefix = IPv4Network(subnet_prefix(subnet))
    taken = {
        address: part
        for address, part in addresses_in_use(request.state, id_).items()
        if not part.lower().startswith(f"{request.id.key}/")
    }
    if properties["privateIPAllocationMethod"] == "Static":
        return _static_address(configuration, id_, prefix, taken)
    return _dynamic_address(request, prefix, id_, taken)


def _static_address(
    configuration: Body, subnet: ResourceId, prefix: IPv4Network, taken: dict[IPv4Address, str]
) -> str:
    text = configuration["properties"].get("privateIPAddress")
    try:
        address = IPv4Address(text or "")
    except AddressValueError:
        raise AzureError(
            "InvalidIPAddressFormat" if text else "PrivateIPAddressRequired",
            f"IP configuration {configuration['id']} has allocation method Static and needs a valid"
            f" privateIPAddress; it has '{text or ''}'.",
        ) from None
    if address not in prefix:
        raise AzureError(
            "PrivateIPAddressNotInSubnet",
            f"Private static IP address {address} does not belong to the range of subnet prefix"
            f" {prefix}.",
        )
    if address in reserved_addresses(prefix):
        raise AzureError(
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {address} falls within reserved IP range of subnet prefix"
            f" {prefix}.",
        )
    if address in taken:
        raise AzureError(
            "PrivateIPAddressIsAllocated",
            f"IP configuration {configuration['id']} is using the private IP address {address}"
            f" which is already allocated to resource {taken[address]}.",
        )
    return str(address)


def reserved_addresses(prefix: IPv4Network) -> set[IPv4Address]:
    """The addresses of a subnet that Azure keeps for itself: the first four and the last."""
    return {prefix[0], prefix[1], prefix[2], prefix[3], prefix[-1]}


def _dynamic_address(
    request: PutRequest, prefix: IPv4Network, subnet: ResourceId, taken: dict[IPv4Address, str]
) -> str:
    former = (request.old_properties.get("ipConfigurations") or [{}])[0].get("properties", {})
    kept = former.get("privateIPAddress")
    if kept and IPv4Address(kept) in prefix and IPv4Address(kept) not in taken:
        return str(kept)
    for address in prefix:
        if address not in taken and address not in reserved_addresses(prefix):
            return str(address)
    raise AzureError(
        "SubnetIsFull",
        f"Subnet {subnet.name} with address prefix {prefix} does not have enough capacity for 1 IP"
        " addresses.",
    )
