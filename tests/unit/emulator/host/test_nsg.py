"""Security groups become nftables rules with Azure's meaning."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.azure.fabric import FabricError
from emulator.host.nsg import DEFAULT_RULES, NO_GROUP, Direction, NsgRule, compile_rules, rules_of

VIRTUAL_NETWORK = ["10.0.0.0/16"]


def rule(**changes: Any) -> NsgRule:
    return NsgRule(
        **{"name": "r", "priority": 100, "direction": "Inbound", "allow": True, **changes}
    )


def compiled(*rules: NsgRule, direction: Direction = "Inbound") -> list[str]:
    statements = compile_rules(rules, direction, VIRTUAL_NETWORK)
    return [statement.partition(" comment ")[0] for statement in statements]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "return"),
        ({"protocol": "Tcp"}, "meta l4proto tcp return"),
        ({"protocol": "Icmp"}, "meta l4proto icmp return"),
        (
            {"protocol": "Tcp", "destination_ports": ("22",)},
            "meta l4proto tcp th dport { 22 } return",
        ),
        (
            {"protocol": "Udp", "destination_ports": ("53", "8000-8100")},
            "meta l4proto udp th dport { 53, 8000-8100 } return",
        ),
        ({"destination_ports": ("80",)}, "meta l4proto { tcp, udp } th dport { 80 } return"),
        (
            {"protocol": "Tcp", "source_ports": ("1000-2000",)},
            "meta l4proto tcp th sport { 1000-2000 } return",
        ),
        ({"sources": ("198.51.100.7",)}, "ip saddr { 198.51.100.7/32 } return"),
        ({"sources": ("198.51.100.7/24",)}, "ip saddr { 198.51.100.0/24 } return"),
        (
            {"sources": ("192.0.2.1/32", "VirtualNetwork")},
            "ip saddr { 192.0.2.1/32, 10.0.0.0/16 } return",
        ),
        ({"sources": ("Internet",)}, "ip saddr != { 10.0.0.0/16, 168.63.129.16 } return"),
        ({"sources": ("AzureLoadBalancer",)}, "ip saddr { 168.63.129.16 } return"),
        ({"destinations": ("10.0.0.4",)}, "ip daddr { 10.0.0.4/32 } return"),
        ({"sources": ("*", "192.0.2.1")}, "return"),
    ],
)
def test_an_allowing_rule(changes: dict[str, Any], expected: str) -> None:
    assert compiled(rule(**changes)) == [expected]


def test_a_denying_rule_resets_tcp_and_drops_the_rest() -> None:
    assert compiled(rule(allow=False, sources=("192.0.2.0/24",))) == [
        "ip saddr { 192.0.2.0/24 } meta l4proto tcp reject with tcp reset",
        "ip saddr { 192.0.2.0/24 } drop",
    ]


def test_rules_come_in_the_order_of_their_priorities() -> None:
    late = rule(priority=200, protocol="Tcp")
    early = rule(priority=100, protocol="Udp")
    assert compiled(late, early) == ["meta l4proto udp return", "meta l4proto tcp return"]


def test_each_direction_has_its_own_rules() -> None:
    assert compiled(rule(direction="Outbound")) == []
    assert compiled(rule(direction="Outbound"), direction="Outbound") == ["return"]


def test_a_rule_for_ipv6_alone_matches_nothing() -> None:
    assert compiled(rule(sources=("2001:db8::/32",))) == []


@pytest.mark.parametrize("prefixes", [("AzureCloud",), ("Internet", "10.0.0.1")])
def test_what_the_emulator_cannot_translate_is_an_error(prefixes: tuple[str, ...]) -> None:
    with pytest.raises(FabricError, match=prefixes[0]):
        compiled(rule(sources=prefixes))


def test_a_group_ends_with_azures_defaults() -> None:
    body = {"properties": {"securityRules": [{"name": "https", "properties": _HTTPS}]}}
    rules = rules_of(body)
    assert rules == (
        rule(name="https", priority=120, protocol="Tcp", destination_ports=("443",)),
        *DEFAULT_RULES,
    )
    assert compiled(*rules) == [
        "meta l4proto tcp th dport { 443 } return",
        "ip saddr { 10.0.0.0/16 } ip daddr { 10.0.0.0/16 } return",
        "ip saddr { 168.63.129.16 } return",
        "meta l4proto tcp reject with tcp reset",
        "drop",
    ]
    assert compiled(*rules, direction="Outbound")[:2] == [
        "ip saddr { 10.0.0.0/16 } ip daddr { 10.0.0.0/16 } return",
        "ip daddr != { 10.0.0.0/16, 168.63.129.16 } return",
    ]


def test_without_a_group_only_the_network_itself_comes_in() -> None:
    assert compiled(*NO_GROUP) == [
        "ip saddr { 10.0.0.0/16 } ip daddr { 10.0.0.0/16 } return",
        "meta l4proto tcp reject with tcp reset",
        "drop",
    ]


def test_plural_properties_are_read() -> None:
    properties = {
        "priority": 100,
        "direction": "Inbound",
        "access": "Deny",
        "protocol": "*",
        "sourceAddressPrefixes": ["192.0.2.1", "192.0.2.2"],
        "sourcePortRange": "*",
        "destinationAddressPrefix": "*",
        "destinationPortRanges": ["80", "443"],
    }
    assert NsgRule.read({"name": "r", "properties": properties}) == rule(
        allow=False, sources=("192.0.2.1", "192.0.2.2"), destination_ports=("80", "443")
    )


_HTTPS = {
    "priority": 120,
    "direction": "Inbound",
    "access": "Allow",
    "protocol": "Tcp",
    "sourceAddressPrefix": "*",
    "sourcePortRange": "*",
    "destinationAddressPrefix": "*",
    "destinationPortRange": "443",
}
