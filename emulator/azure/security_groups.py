"""Network security groups and their rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from ipaddress import IPv4Network
from itertools import combinations

from emulator.azure.errors import AzureError
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    duplicate_name,
    keep,
    new_guid,
    references_of,
    users_of,
)
from emulator.azure.names import INTERFACE, SUBNET, ResourceId, check_network_name
from emulator.azure.store import Body, StoredState

SERVICE_TAGS = ("VirtualNetwork", "AzureLoadBalancer", "Internet")


class SecurityGroup(ResourceKind):
    """A network security group with its rules inside it."""

    def put(self, request: PutRequest) -> None:
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

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "InUseNetworkSecurityGroupCannotBeDeleted",
                f"Network security group {id_} cannot be deleted because it is in use by the"
                f" following resources: {', '.join(users)}. In order to delete the Network"
                " security group, remove the association with the resource(s). To learn how to do"
                " this, see aka.ms/deletensg.",
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        users = [
            (key, each) for key, each in state.resources.items() if _uses_group(key, each, id_)
        ]
        for name, type_ in (("subnets", SUBNET), ("networkInterfaces", INTERFACE)):
            found = [{"id": each["id"]} for _, each in users if each["type"] == type_]
            if found:
                body["properties"][name] = found
        body["properties"]["defaultSecurityRules"] = default_rules(id_)


def _uses_group(key: str, body: Body, target: ResourceId) -> bool:
    return any(used == target.key for _, used in references_of(key, body))


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
        _check_sides(rule, f"{side}PortRange", _check_port_range, _check_listed_port_range)
        _check_sides(rule, f"{side}AddressPrefix", _check_rule_prefix, _check_listed_prefix)
        _check_overlaps(rule, f"{side}AddressPrefix")


def _check_sides(
    rule: Body,
    name: str,
    check: Callable[[str], None],
    check_listed: Callable[[Body, str, str], None],
) -> None:
    """Check that a side has either one value or a list, and fill in the empty list."""
    properties = rule["properties"]
    plural = f"{name}es" if name.endswith("x") else f"{name}s"
    one, many = properties.get(name), properties.get(plural) or []
    if (one is None) == (not many):
        raise AzureError(
            "SecurityRuleParameterMissing" if one is None else "SecurityRuleParameterConflict",
            f"Security rule {rule['name']} must have exactly one of {name} and {plural}.",
            target=name,
        )
    for value in many:
        check_listed(rule, _parameter(name), value)
    if one is not None:
        check(one)
    properties.setdefault(plural, [])


def _parameter(name: str) -> str:
    """A property's name as Azure's messages have it."""
    return f"{name[0].upper()}{name[1:]}"


def _is_tag(prefix: str) -> bool:
    """Whether it stands for addresses without naming them."""
    return prefix == "*" or prefix in SERVICE_TAGS


def _check_port_range(text: str) -> None:
    low, _, high = text.partition("-")
    ports = [low, high or low]
    valid = all(re.fullmatch(r"\d{1,5}", each) and int(each) <= 65535 for each in ports)
    if text != "*" and not (valid and int(ports[0]) <= int(ports[1])):
        raise AzureError(
            "SecurityRuleInvalidPortRange",
            f"Security rule has invalid Port range. Value provided: {text}. Value should be an"
            " integer OR integer range with '-' delimiter. Valid range 0-65535.",
        )


def _check_listed_port_range(rule: Body, name: str, text: str) -> None:
    if text == "*":
        raise AzureError(
            "SecurityRuleParameterContainsInvalidPortRanges",
            f"Security rule parameter {name}s for rule with Id {rule['id']} contains invalid port"
            " ranges. Invalid port range used: *.",
        )
    _check_port_range(text)


def _check_listed_prefix(rule: Body, name: str, text: str) -> None:
    if _is_tag(text):
        raise AzureError(
            "SecurityRuleParameterContainsUnsupportedValue",
            f"Security rule parameter {name} for rule with Id {rule['id']} cannot specify existing"
            " VIRTUALNETWORK, INTERNET, AZURELOADBALANCER, '*' or system tags. Unsupported value"
            f" used: {text}.",
        )
    _check_rule_prefix(text)


def _check_rule_prefix(text: str) -> None:
    if _is_tag(text):
        return
    try:
        IPv4Network(text)
    except ValueError:
        raise AzureError(
            "SecurityRuleInvalidAddressPrefix",
            f"Security rule has invalid Address prefix. Value provided: {text}",
        ) from None


def _check_overlaps(rule: Body, name: str) -> None:
    for pair in combinations(rule["properties"][f"{name}es"], 2):
        one, other = map(IPv4Network, pair)
        if one.overlaps(other):
            raise AzureError(
                "OverlappingSubnetsNotPermittedInSecurityRule",
                f"Security rule parameter {_parameter(name)} for rule with Id {rule['id']}"
                f" contains overlapping subnets [{', '.join(pair)}], which is not permitted.",
            )


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
