"""Virtual networks and their subnets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    duplicate_name,
    keep,
    merge_defaults,
    new_guid,
    put_beside,
    refer,
    users_of,
)
from emulator.azure.names import (
    INTERFACE,
    NAT_GATEWAY,
    SECURITY_GROUP,
    SUBNET,
    ResourceId,
    check_network_name,
)
from emulator.azure.store import Body, StoredState


def prefix_of(text: str, owner: ResourceId) -> IPv4Network:
    """Read a CIDR prefix. Raises InvalidAddressPrefixFormat or InvalidCIDRNotation."""
    try:
        network = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        network = None
    if network is None or "/" not in text:
        raise AzureError(
            "InvalidAddressPrefixFormat",
            f"Address prefix {text} of resource {owner} is not formatted correctly. It should"
            " follow CIDR notation, for example 10.0.0.0/24.",
        )
    if str(network) != text:
        raise AzureError(
            "InvalidCIDRNotation",
            f"The address prefix {text} in resource {owner} has an invalid CIDR notation. For the"
            f" given prefix length, the address prefix should be {network}.",
        )
    return network


def subnet_prefix(subnet: Body) -> str:
    """A subnet's one prefix, however it was written."""
    properties = subnet.get("properties", {})
    prefixes = properties.get("addressPrefixes") or [properties.get("addressPrefix")]
    return str(prefixes[0])


class VirtualNetwork(ResourceKind):
    """A network; the subnets in its body are created, changed and deleted with it."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name, longest=64, shortest=2)
        spaces = _address_space(request)
        inline = request.properties.pop("subnets", None)
        _keep_subnets_inside(request, spaces, inline)
        merge_defaults(
            request.properties,
            {"enableDdosProtection": False, "privateEndpointVNetPolicies": "Disabled"},
        )
        keep(request, "resourceGuid", new_guid)
        if inline is not None:
            _put_inline_subnets(request, inline)

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        leaving = {*leaving, id_.key, *(key for key, _ in subnets_of(state, id_))}
        for _, subnet in subnets_of(state, id_):
            Subnet().check_delete(state, ResourceId.parse(subnet["id"]), leaving)

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        for key, _ in list(subnets_of(state, id_)):
            del state.resources[key]

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"]["subnets"] = []
        for _, subnet in subnets_of(state, id_):
            shown = {name: subnet[name] for name in ("id", "name", "type", "etag")}
            shown["properties"] = dict(subnet["properties"])
            Subnet().view(state, ResourceId.parse(subnet["id"]), shown)
            body["properties"]["subnets"].append(shown)


def subnets_of(state: StoredState, network: ResourceId) -> Iterator[tuple[str, Body]]:
    """The network's subnets, oldest first."""
    for key, body in state.of_type(SUBNET):
        if key.startswith(f"{network.key}/"):
            yield key, body


def _address_space(request: PutRequest) -> list[IPv4Network]:
    texts = (request.properties.get("addressSpace") or {}).get("addressPrefixes") or []
    if not texts:
        raise AzureError(
            "InvalidRequestFormat",
            f"Virtual network {request.id} must have at least one address prefix in"
            " properties.addressSpace.addressPrefixes.",
            target="addressSpace.addressPrefixes",
        )
    spaces = [prefix_of(text, request.id) for text in texts]
    for index, space in enumerate(spaces):
        for other in spaces[:index]:
            if space.overlaps(other):
                raise AzureError(
                    "VnetAddressSpacesOverlap",
                    f"Address space prefixes {other} and {space} of virtual network"
                    f" {request.id.name} overlap.",
                )
    return spaces


def _keep_subnets_inside(
    request: PutRequest, spaces: list[IPv4Network], inline: list[Body] | None
) -> None:
    if inline is not None:
        return  # each one is checked against the new space when it is put
    for _, subnet in subnets_of(request.state, request.id):
        _check_inside(subnet["name"], IPv4Network(subnet_prefix(subnet)), request.id.name, spaces)


def _check_inside(name: str, prefix: IPv4Network, network: str, spaces: list[IPv4Network]) -> None:
    if prefix.prefixlen > 29 or not any(prefix.subnet_of(space) for space in spaces):
        raise AzureError(
            "NetcfgInvalidSubnet", f"Subnet '{name}' is not valid in virtual network '{network}'."
        )


def _put_inline_subnets(request: PutRequest, inline: list[Body]) -> None:
    names = [item.get("name") or "" for item in inline]
    for name in names:
        if names.count(name) > 1:
            raise duplicate_name(request.id, name)
    request.state.resources[request.id.key] = request.body  # so that its subnets find it
    wanted = {request.id.child("subnets", name).key for name in names}
    for key, subnet in list(subnets_of(request.state, request.id)):
        if key not in wanted:
            gone = ResourceId.parse(subnet["id"])
            Subnet().check_delete(request.state, gone, {request.id.key})
            del request.state.resources[key]
    for item, name in zip(inline, names, strict=True):
        id_ = request.id.child("subnets", name)
        body = {"properties": item.get("properties", {})}
        put_beside(request, Subnet(), id_, body)


class Subnet(ResourceKind):
    """A subnet, alone or inside its network's PUT."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name)
        network = request.state.resources[request.id.parent.key]
        request.body["location"] = network[
            "location"
        ]  # what it refers to must be in the same location
        prefix = _subnet_request_prefix(request)
        spaces = network["properties"]["addressSpace"]["addressPrefixes"]
        _check_inside(
            request.id.name, prefix, network["name"], [IPv4Network(each) for each in spaces]
        )
        _check_overlap(request, prefix)
        _check_allocations(request, prefix)
        refer(request, request.properties.get("networkSecurityGroup"), SECURITY_GROUP)
        refer(request, request.properties.get("natGateway"), NAT_GATEWAY)
        _check_delegations(request)
        merge_defaults(
            request.properties,
            {
                "delegations": [],
                "privateEndpointNetworkPolicies": "Disabled",
                "privateLinkServiceNetworkPolicies": "Enabled",
            },
        )
        del request.body["location"]

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "InUseSubnetCannotBeDeleted",
                f"Subnet {id_.name} is in use by {users[0]} and cannot be deleted. In order to"
                " delete the subnet, delete all the resources within the subnet. See"
                " aka.ms/deletesubnet.",
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        if users:
            body["properties"]["ipConfigurations"] = [{"id": each} for each in users]


def _subnet_request_prefix(request: PutRequest) -> IPv4Network:
    properties = request.properties
    prefixes = properties.get("addressPrefixes") or []
    if properties.get("addressPrefix") is not None:
        prefixes = [properties["addressPrefix"]]
    if len(prefixes) > 1:
        raise not_emulated("A subnet with more than one address prefix", "addressPrefixes")
    if not prefixes:
        raise AzureError(
            "NetcfgInvalidSubnet",
            f"Subnet '{request.id.name}' is not valid in virtual network '{request.id.names[0]}'.",
            target="addressPrefix",
        )
    return prefix_of(prefixes[0], request.id)


def _check_overlap(request: PutRequest, prefix: IPv4Network) -> None:
    for key, other in subnets_of(request.state, request.id.parent):
        if key != request.id.key and prefix.overlaps(IPv4Network(subnet_prefix(other))):
            raise AzureError(
                "NetcfgSubnetRangesOverlap",
                f"Subnet '{request.id.name}' is not valid because its IP address range overlaps"
                f" with that of an existing subnet in virtual network '{request.id.names[0]}'.",
            )


def _check_allocations(request: PutRequest, prefix: IPv4Network) -> None:
    if request.old is None:
        return
    for address in addresses_in_use(request.state, request.id):
        if address not in prefix:
            raise AzureError(
                "InUsePrefixCannotBeDeleted",
                f"IpPrefix {subnet_prefix(request.old)} on Subnet {request.id.name} has active"
                " allocations and cannot be deleted.",
            )


def _check_delegations(request: PutRequest) -> None:
    before, after = (
        [each["properties"]["serviceName"] for each in properties.get("delegations") or []]
        for properties in (request.old_properties, request.properties)
    )
    users = users_of(request.state, request.id)
    if request.old and users and before != after:
        raise AzureError(
            "SubnetDelegationsCannotChangeWhenSubnetUsedByResource",
            f"Delegations of subnet {request.id} cannot be changed from [{', '.join(before)}] to"
            f" [{', '.join(after)}] because it is being used by the resource {users[0]}.",
        )


def addresses_in_use(state: StoredState, subnet: ResourceId) -> dict[IPv4Address, str]:
    """The subnet's addresses in use, each with the id of its IP configuration."""
    found = {}
    for _, interface in state.of_type(INTERFACE):
        for configuration in interface["properties"]["ipConfigurations"]:
            properties = configuration["properties"]
            if properties["subnet"]["id"].lower() == subnet.key:
                found[IPv4Address(properties["privateIPAddress"])] = configuration["id"]
    return found
