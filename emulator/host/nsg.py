"""Network security groups as nftables rules: a pure translation, applied by network.py.

Rules and defaults: https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emulator.azure.fabric import FabricError

Direction = Literal["Inbound", "Outbound"]

AZURE_HOST = "168.63.129.16"
"""The address of Azure's own services (name server, load balancer probes) inside a network."""

_PROTOCOLS = {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "esp": "esp", "ah": "ah"}
_REFUSE = ["meta l4proto tcp reject with tcp reset", "drop"]


@dataclass(frozen=True)
class NsgRule:
    """One security rule; `*` means any, as in ARM."""

    name: str
    priority: int
    direction: Direction
    allow: bool
    protocol: str = "*"
    sources: tuple[str, ...] = ("*",)
    source_ports: tuple[str, ...] = ("*",)
    destinations: tuple[str, ...] = ("*",)
    destination_ports: tuple[str, ...] = ("*",)

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> NsgRule:
        """Read a securityRules item; four of its properties have a singular and a plural form."""
        properties = body["properties"]
        return cls(
            name=body.get("name", "?"),
            priority=properties["priority"],
            direction=properties["direction"],
            allow=properties["access"] == "Allow",
            protocol=properties["protocol"],
            sources=_values_of(properties, "sourceAddressPrefix", "sourceAddressPrefixes"),
            source_ports=_values_of(properties, "sourcePortRange", "sourcePortRanges"),
            destinations=_values_of(
                properties, "destinationAddressPrefix", "destinationAddressPrefixes"
            ),
            destination_ports=_values_of(
                properties, "destinationPortRange", "destinationPortRanges"
            ),
        )


DEFAULT_RULES = (
    NsgRule(
        "AllowVnetInBound",
        65000,
        "Inbound",
        allow=True,
        sources=("VirtualNetwork",),
        destinations=("VirtualNetwork",),
    ),
    NsgRule(
        "AllowAzureLoadBalancerInBound",
        65001,
        "Inbound",
        allow=True,
        sources=("AzureLoadBalancer",),
    ),
    NsgRule("DenyAllInBound", 65500, "Inbound", allow=False),
    NsgRule(
        "AllowVnetOutBound",
        65000,
        "Outbound",
        allow=True,
        sources=("VirtualNetwork",),
        destinations=("VirtualNetwork",),
    ),
    NsgRule("AllowInternetOutBound", 65001, "Outbound", allow=True, destinations=("Internet",)),
    NsgRule("DenyAllOutBound", 65500, "Outbound", allow=False),
)

NO_GROUP = (
    *(rule for rule in DEFAULT_RULES if rule.name in ("AllowVnetInBound", "DenyAllInBound")),
    NsgRule("NoGroupOutBound", 65500, "Outbound", allow=True),
)
"""The rules of an interface without a group: a Standard public address is closed."""


def rules_of(group: Mapping[str, Any]) -> tuple[NsgRule, ...]:
    """A group's own rules and Azure's defaults, from its ARM body."""
    own = group.get("properties", {}).get("securityRules") or []
    return (*(NsgRule.read(rule) for rule in own), *DEFAULT_RULES)


def compile_rules(
    rules: Iterable[NsgRule], direction: Direction, virtual_network: Sequence[str]
) -> list[str]:
    """The nftables statements of a chain that returns for allowed packets and refuses the rest.

    `virtual_network` are the network's address prefixes, for the service tags. Denied TCP is
    answered with a reset, not with silence, so that a refused client knows at once.
    Raises FabricError for a service tag that the emulator does not know.
    """
    chosen = sorted(
        (rule for rule in rules if rule.direction == direction), key=lambda rule: rule.priority
    )
    statements: list[str] = []
    for rule in chosen:
        matches = _matches(rule, virtual_network)
        if matches is None:
            continue
        verdicts = ["return"] if rule.allow else _REFUSE
        statements += [f'{matches}{verdict} comment "{rule.name}"' for verdict in verdicts]
    return statements


def _matches(rule: NsgRule, virtual_network: Sequence[str]) -> str | None:
    """The match part of a rule, with a blank at its end unless empty; None if nothing can match."""
    parts: list[str] = []
    for side, prefixes in (("saddr", rule.sources), ("daddr", rule.destinations)):
        match = _address_match(side, prefixes, virtual_network, rule.name)
        if match is None:
            return None
        parts.append(match)
    parts.append(_protocol_match(rule))
    parts.append(_port_match("sport", rule.source_ports))
    parts.append(_port_match("dport", rule.destination_ports))
    return "".join(f"{part} " for part in parts if part)


def _address_match(
    side: str, prefixes: Sequence[str], virtual_network: Sequence[str], rule: str
) -> str | None:
    """`ip saddr …` for a rule's prefixes and tags; empty for any, None if none is IPv4."""
    wanted: list[str] = []
    for prefix in prefixes:
        tag = prefix.lower()
        if tag in ("*", "any"):
            return ""
        if tag == "internet":
            if len(prefixes) == 1:
                return f"ip {side} != {_set([*virtual_network, AZURE_HOST])}"
            raise _unknown(rule, prefix, "beside other prefixes")
        if tag == "virtualnetwork":
            wanted += virtual_network
        elif tag == "azureloadbalancer":
            wanted.append(AZURE_HOST)
        elif network := _ip_network(prefix, rule):
            wanted.append(network)
    return f"ip {side} {_set(wanted)}" if wanted else None


def _ip_network(prefix: str, rule: str) -> str | None:
    """The prefix in nftables' form; None for IPv6, which the emulated networks do not carry."""
    try:
        network = ipaddress.ip_network(prefix, strict=False)
    except ValueError:
        raise _unknown(rule, prefix, "as an address prefix or service tag") from None
    return str(network) if network.version == 4 else None


def _unknown(rule: str, prefix: str, where: str) -> FabricError:
    return FabricError(
        "SecurityRuleInvalidAddressPrefix",
        f"The emulator does not know {prefix!r} {where} (security rule {rule}). It knows *, "
        "Internet, VirtualNetwork, AzureLoadBalancer, IPv4 addresses and CIDR prefixes.",
    )


def _protocol_match(rule: NsgRule) -> str:
    protocol = rule.protocol.lower()
    if protocol in _PROTOCOLS:
        return f"meta l4proto {_PROTOCOLS[protocol]}"
    names_a_port = "*" not in rule.source_ports or "*" not in rule.destination_ports
    return "meta l4proto { tcp, udp }" if names_a_port else ""


def _port_match(side: str, ranges: Sequence[str]) -> str:
    return "" if "*" in ranges else f"th {side} {_set(ranges)}"


def _set(items: Sequence[str]) -> str:
    return "{ " + ", ".join(dict.fromkeys(items)) + " }"


def _values_of(properties: Mapping[str, Any], one: str, many: str) -> tuple[str, ...]:
    values = properties.get(many) or []
    single = properties.get(one)
    return tuple(str(value) for value in ([single] if single else []) + list(values))
