"""Microsoft.Network: virtual networks and subnets, security groups, addresses, interfaces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.kinds import (
    Kind,
    Put,
    check_zones,
    keep,
    merge_defaults,
    new_guid,
    refer,
    require_unchanged_zones,
    users_of,
    uses,
)
from emulator.azure.names import ResourceId, check_network_name
from emulator.azure.store import Body, State

NETWORK = "Microsoft.Network/virtualNetworks"
SUBNET = "Microsoft.Network/virtualNetworks/subnets"
SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups"
ADDRESS = "Microsoft.Network/publicIPAddresses"
INTERFACE = "Microsoft.Network/networkInterfaces"

SERVICE_TAGS = ("VirtualNetwork", "AzureLoadBalancer", "Internet")


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


class VirtualNetwork(Kind):
    """A network; `subnets` in its body are made, changed and deleted with it."""

    def put(self, request: Put) -> None:
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

    def check_delete(self, state: State, id_: ResourceId, leaving: Collection[str]) -> None:
        leaving = {*leaving, id_.key, *(key for key, _ in subnets_of(state, id_))}
        for _, subnet in subnets_of(state, id_):
            Subnet().check_delete(state, ResourceId.parse(subnet["id"]), leaving)

    def removed(self, state: State, id_: ResourceId, body: Body) -> None:
        for key, _ in list(subnets_of(state, id_)):
            del state.resources[key]

    def view(self, state: State, id_: ResourceId, body: Body) -> None:
        body["properties"]["subnets"] = []
        for _, subnet in subnets_of(state, id_):
            shown = {name: subnet[name] for name in ("id", "name", "type", "etag")}
            shown["properties"] = dict(subnet["properties"])
            Subnet().view(state, ResourceId.parse(subnet["id"]), shown)
            body["properties"]["subnets"].append(shown)


def subnets_of(state: State, network: ResourceId) -> Iterator[tuple[str, Body]]:
    """The network's subnets, oldest first."""
    for key, body in state.of_type(SUBNET):
        if key.startswith(f"{network.key}/"):
            yield key, body


def _address_space(request: Put) -> list[IPv4Network]:
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
    request: Put, spaces: list[IPv4Network], inline: list[Body] | None
) -> None:
    if inline is not None:
        return  # they are checked one by one, against the new space, when they are put
    for _, subnet in subnets_of(request.state, request.id):
        _check_inside(subnet["name"], IPv4Network(subnet_prefix(subnet)), request.id.name, spaces)


def _check_inside(name: str, prefix: IPv4Network, network: str, spaces: list[IPv4Network]) -> None:
    if prefix.prefixlen > 29 or not any(prefix.subnet_of(space) for space in spaces):
        raise AzureError(
            "NetcfgInvalidSubnet", f"Subnet '{name}' is not valid in virtual network '{network}'."
        )


def _put_inline_subnets(request: Put, inline: list[Body]) -> None:
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
        put = Put(id_, body, request.state.resources.get(id_.key), request.state, request.address)
        Subnet().put(put)
        body |= {"id": str(id_), "name": name, "type": SUBNET, "etag": etag()}
        body["properties"]["provisioningState"] = "Succeeded"
        request.state.resources[id_.key] = body


def etag() -> str:
    return f'W/"{new_guid()}"'


def duplicate_name(owner: ResourceId, name: str) -> AzureError:
    return AzureError(
        "DuplicateResourceName",
        f"Resource {owner} has two child resources with the same name ({name}).",
    )


class Subnet(Kind):
    """A subnet, alone or inside its network's PUT."""

    def put(self, request: Put) -> None:
        check_network_name(request.id.name)
        network = request.state.resources[request.id.parent.key]
        request.body["location"] = network["location"]  # what it refers to must be there too
        prefix = _subnet_request_prefix(request)
        spaces = network["properties"]["addressSpace"]["addressPrefixes"]
        _check_inside(
            request.id.name, prefix, network["name"], [IPv4Network(each) for each in spaces]
        )
        _check_overlap(request, prefix)
        _check_allocations(request, prefix)
        refer(request, request.properties.get("networkSecurityGroup"), SECURITY_GROUP)
        merge_defaults(
            request.properties,
            {
                "delegations": [],
                "privateEndpointNetworkPolicies": "Disabled",
                "privateLinkServiceNetworkPolicies": "Enabled",
            },
        )
        del request.body["location"]

    def check_delete(self, state: State, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "InUseSubnetCannotBeDeleted",
                f"Subnet {id_.name} is in use by {users[0]} and cannot be deleted. In order to"
                " delete the subnet, delete all the resources within the subnet. See"
                " aka.ms/deletesubnet.",
            )

    def view(self, state: State, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        if users:
            body["properties"]["ipConfigurations"] = [{"id": each} for each in users]


def _subnet_request_prefix(request: Put) -> IPv4Network:
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


def _check_overlap(request: Put, prefix: IPv4Network) -> None:
    for key, other in subnets_of(request.state, request.id.parent):
        if key != request.id.key and prefix.overlaps(IPv4Network(subnet_prefix(other))):
            raise AzureError(
                "NetcfgSubnetRangesOverlap",
                f"Subnet '{request.id.name}' is not valid because its IP address range overlaps"
                f" with that of an existing subnet in virtual network '{request.id.names[0]}'.",
            )


def _check_allocations(request: Put, prefix: IPv4Network) -> None:
    if request.old is None:
        return
    for address in allocated(request.state, request.id):
        if address not in prefix:
            raise AzureError(
                "InUsePrefixCannotBeDeleted",
                f"IpPrefix {subnet_prefix(request.old)} on Subnet {request.id.name} has active"
                " allocations and cannot be deleted.",
            )


def allocated(state: State, subnet: ResourceId) -> dict[IPv4Address, str]:
    """The subnet's addresses in use, each with the id of the IP configuration that has it."""
    found = {}
    for _, interface in state.of_type(INTERFACE):
        for configuration in interface["properties"]["ipConfigurations"]:
            properties = configuration["properties"]
            if properties["subnet"]["id"].lower() == subnet.key:
                found[IPv4Address(properties["privateIPAddress"])] = configuration["id"]
    return found


class SecurityGroup(Kind):
    """A network security group with its rules inside it."""

    def put(self, request: Put) -> None:
        check_network_name(request.id.name)
        rules = request.properties.setdefault("securityRules", [])
        names = [rule.get("name") or "" for rule in rules]
        for rule, name in zip(rules, names, strict=True):
            check_network_name(name)
            if names.count(name) > 1:
                raise duplicate_name(request.id, name)
            _complete_rule(request.id, rule)
        _check_priorities(rules)
        keep(request, "resourceGuid", new_guid)

    def check_delete(self, state: State, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "InUseNetworkSecurityGroupCannotBeDeleted",
                f"Network security group {id_} cannot be deleted because it is in use by the"
                f" following resources: {', '.join(users)}. In order to delete the Network"
                " security group, remove the association with the resource(s). To learn how to do"
                " this, see aka.ms/deletensg.",
            )

    def view(self, state: State, id_: ResourceId, body: Body) -> None:
        users = [(key, each) for key, each in state.resources.items() if _uses(key, each, id_)]
        for name, type_ in (("subnets", SUBNET), ("networkInterfaces", INTERFACE)):
            found = [{"id": each["id"]} for _, each in users if each["type"] == type_]
            if found:
                body["properties"][name] = found
        body["properties"]["defaultSecurityRules"] = default_rules(id_)


def _uses(key: str, body: Body, target: ResourceId) -> bool:
    return any(used == target.key for _, used in uses(key, body))


def _complete_rule(group: ResourceId, rule: Body) -> None:
    properties = rule["properties"]
    rule["id"] = str(group.child("securityRules", rule["name"]))
    rule["type"] = "Microsoft.Network/networkSecurityGroups/securityRules"
    properties["provisioningState"] = "Succeeded"
    if not 100 <= properties["priority"] <= 4096:
        raise AzureError(
            "SecurityRuleInvalidPriority",
            "Security rule has invalid Priority. Value provided: "
            f"{properties['priority']} Allowed range 100-4096.",
        )
    for side in ("source", "destination"):
        _check_sides(rule, f"{side}PortRange", _check_port_range)
        _check_sides(rule, f"{side}AddressPrefix", _check_rule_prefix)


def _check_sides(rule: Body, name: str, check: Any) -> None:
    """A rule says each of its sides once: as one value, or as a list. Fills the other in."""
    properties = rule["properties"]
    plural = f"{name}es" if name.endswith("x") else f"{name}s"
    one, many = properties.get(name), properties.get(plural) or []
    if (one is None) == (not many):
        raise AzureError(
            "SecurityRuleParameterMissing" if one is None else "SecurityRuleParameterConflict",
            f"Security rule {rule['name']} must have exactly one of {name} and {plural}.",
            target=name,
        )
    for value in many or [one]:
        check(value, alone=not many)
    properties.setdefault(plural, [])


def _check_port_range(text: str, alone: bool) -> None:
    low, _, high = text.partition("-")
    ports = [low, high or low]
    valid = all(re.fullmatch(r"\d{1,5}", each) and int(each) <= 65535 for each in ports)
    if not (text == "*" and alone) and not (valid and int(ports[0]) <= int(ports[1])):
        raise AzureError(
            "SecurityRuleInvalidPortRange",
            f"Security rule has invalid Port range. Value provided: {text}. Value should be an"
            " integer OR integer range with '-' delimiter. Valid range 0-65535.",
        )


def _check_rule_prefix(text: str, alone: bool) -> None:
    if alone and (text == "*" or text in SERVICE_TAGS):
        return
    try:
        IPv4Network(text)
    except ValueError:
        raise AzureError(
            "SecurityRuleInvalidAddressPrefix",
            f"Security rule has invalid Address prefix. Value provided: {text}",
        ) from None


def _check_priorities(rules: list[Body]) -> None:
    seen: dict[tuple[int, str], str] = {}
    for rule in rules:
        place = (rule["properties"]["priority"], rule["properties"]["direction"])
        if place in seen:
            raise AzureError(
                "SecurityRuleConflict",
                f"Security rule {seen[place]} conflicts with rule {rule['name']}. Rules cannot have"
                " the same Priority and Direction.",
            )
        seen[place] = rule["name"]


DEFAULT_RULES = (
    (65000, "Inbound", "AllowVnetInBound", "VirtualNetwork", "VirtualNetwork"),
    (65001, "Inbound", "AllowAzureLoadBalancerInBound", "AzureLoadBalancer", "*"),
    (65500, "Inbound", "DenyAllInBound", "*", "*"),
    (65000, "Outbound", "AllowVnetOutBound", "VirtualNetwork", "VirtualNetwork"),
    (65001, "Outbound", "AllowInternetOutBound", "*", "Internet"),
    (65500, "Outbound", "DenyAllOutBound", "*", "*"),
)
"""Priority, direction, name, source and destination of the rules after every group's own."""


def default_rules(group: ResourceId) -> list[Body]:
    """The six default rules of a security group, in ARM's shape."""
    return [
        {
            "id": str(group.child("defaultSecurityRules", name)),
            "name": name,
            "type": "Microsoft.Network/networkSecurityGroups/defaultSecurityRules",
            "properties": {
                "provisioningState": "Succeeded",
                "protocol": "*",
                "sourcePortRange": "*",
                "destinationPortRange": "*",
                "sourceAddressPrefix": source,
                "destinationAddressPrefix": destination,
                "access": "Deny" if name.startswith("Deny") else "Allow",
                "priority": priority,
                "direction": direction,
            },
        }
        for priority, direction, name, source, destination in DEFAULT_RULES
    ]


class PublicAddress(Kind):
    """A Standard static public address. It has its address from the moment it is made."""

    def put(self, request: Put) -> None:
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

    def check_delete(self, state: State, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "PublicIPAddressCannotBeDeleted",
                f"Public IP address {id_} can not be deleted since it is still allocated to"
                f" resource {users[0]}. In order to delete the public IP, disassociate/detach the"
                " Public IP address from the resource. To learn how to do this, see"
                " aka.ms/deletepublicip.",
            )

    def view(self, state: State, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        if users:
            body["properties"]["ipConfiguration"] = {"id": users[0]}


def _check_address(request: Put) -> None:
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


def _complete_dns(request: Put) -> None:
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


def _free_address(request: Put) -> str:
    taken = {body["properties"]["ipAddress"] for _, body in request.state.of_type(ADDRESS)}
    for index in range(250):
        if (address := request.address(index)) not in taken:
            return address
    raise AzureError(
        "PublicIPCountLimitReached",
        "Cannot create more than 250 public IP addresses for this subscription in this region.",
    )


class NetworkInterface(Kind):
    """A network interface with one IP configuration."""

    def put(self, request: Put) -> None:
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

    def check_delete(self, state: State, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "NicInUse",
                f"Network Interface {id_} is used by existing resource {users[0]}. In order to"
                " delete the network interface, it must be dissociated from the resource. To learn"
                " more, see aka.ms/deletenic.",
            )

    def view(self, state: State, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        if users:
            digits = hashlib.sha256(id_.key.encode()).hexdigest()[:6].upper()
            body["properties"]["virtualMachine"] = {"id": users[0]}
            body["properties"]["primary"] = True
            body["properties"]["macAddress"] = "00-0D-3A-" + "-".join(
                digits[place : place + 2] for place in (0, 2, 4)
            )


def _complete_configuration(request: Put, configuration: Body) -> None:
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
    _check_public_address(request, configuration["id"], properties.get("publicIPAddress"))
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


def _check_public_address(request: Put, part: str, reference: Body | None) -> None:
    address = refer(request, reference, ADDRESS)
    if address is None:
        return
    for user in users_of(request.state, ResourceId.parse(address["id"]), {request.id.key}):
        raise AzureError(
            "PublicIPAddressInUse",
            f"Resource {part} is referencing public IP address {address['id']} that is already"
            f" allocated to resource {user}.",
        )


def _private_address(request: Put, configuration: Body, subnet: Body) -> str:
    properties = configuration["properties"]
    id_ = ResourceId.parse(subnet["id"])
    prefix = IPv4Network(subnet_prefix(subnet))
    taken = {
        address: part
        for address, part in allocated(request.state, id_).items()
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
    if address in reserved(prefix):
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


def reserved(prefix: IPv4Network) -> set[IPv4Address]:
    """The first four addresses of a subnet and its last are Azure's."""
    return {prefix[0], prefix[1], prefix[2], prefix[3], prefix[-1]}


def _dynamic_address(
    request: Put, prefix: IPv4Network, subnet: ResourceId, taken: dict[IPv4Address, str]
) -> str:
    former = (request.old_properties.get("ipConfigurations") or [{}])[0].get("properties", {})
    kept = former.get("privateIPAddress")
    if kept and IPv4Address(kept) in prefix and IPv4Address(kept) not in taken:
        return str(kept)
    for address in prefix:
        if address not in taken and address not in reserved(prefix):
            return str(address)
    raise AzureError(
        "SubnetIsFull",
        f"Subnet {subnet.name} with address prefix {prefix} does not have enough capacity for 1 IP"
        " addresses.",
    )
