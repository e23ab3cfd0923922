"""Which existing subnets a machine can be in, from what Azure reports of them."""

from __future__ import annotations

from typing import Any

import pytest

from ollamazure.settings.groups import NetworkSettings
from ollamazure.settings.stack import Settings
from ollamazure.settings.subnet import ExistingSubnet, subnet_violations, subnet_warnings

SUBNET_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
    "/providers/Microsoft.Network/virtualNetworks/company/subnets/chat"
)
OWN = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/chat/"


def found(rules: list[dict[str, Any]] | None = None, **changes: Any) -> ExistingSubnet:
    """A subnet that fits, with these rules of its security group and these properties."""
    network = {"location": "francecentral", "addressSpace": {"addressPrefixes": ["10.5.0.0/16"]}}
    network |= {key: changes.pop(key) for key in ("location", "addressSpace") if key in changes}
    subnet = {"addressPrefix": "10.5.1.0/28", "defaultOutboundAccess": False} | changes
    defaults = [
        rule("AllowVnetInBound", 65000, source="VirtualNetwork", ports="*"),
        rule("DenyAllInBound", 65500, access="Deny", ports="*", protocol="*"),
    ]
    group = {"name": "company-nsg", "securityRules": rules, "defaultSecurityRules": defaults}
    return ExistingSubnet(subnet, network, None if rules is None else group, OWN)


def rule(name: str, priority: int, **changes: Any) -> dict[str, Any]:
    """A rule that lets TCP in to every machine, to port 443 unless `ports` are others."""
    return {
        "name": name,
        "priority": priority,
        "direction": "Inbound",
        "access": changes.get("access", "Allow"),
        "protocol": changes.get("protocol", "Tcp"),
        "sourceAddressPrefix": changes.get("source", "*"),
        "destinationAddressPrefix": changes.get("destination", "*"),
        "destinationPortRange": changes.get("ports", "443"),
    }


def settings(**changes: Any) -> Settings:
    given: dict[str, Any] = {
        "ssh_clients": ("203.0.113.7/32",),
        "network": NetworkSettings(subnet_id=SUBNET_ID),
    }
    return Settings(**(given | changes))


def reasons(subnet: ExistingSubnet, **changes: Any) -> list[str]:
    return [str(each.reason) for each in subnet_violations(subnet, settings(**changes))]


PRIVATE = {
    "public_address": False,
    "network": NetworkSettings(subnet_id=SUBNET_ID, outbound="existing"),
}
WEB_AND_SSH = [rule("web", 100, ports="80-443"), rule("ssh", 110, ports="22")]


def used(*owners: str) -> list[dict[str, str]]:
    return [{"id": f"{owner}/ipConfigurations/primary"} for owner in owners]


@pytest.mark.parametrize(
    ("subnet", "reason"),
    [
        (found(location="westeurope"), "its network is in westeurope"),
        (found(delegations=[{"name": "web", "serviceName": "Microsoft.Web/serverFarms"}]),
         "it is delegated to Microsoft.Web/serverFarms"),
        (found(addressPrefix="2001:db8::/64"), "it has no IPv4 range"),
        (found(addressPrefix="10.89.0.128/25"), "overlaps 10.89.0.0/24"),
        (found(ipConfigurations=used(*(f"/nic{n}" for n in range(11)))), "no free address"),
    ],
)  # fmt: skip
def test_a_subnet_that_cannot_have_the_machine(subnet: ExistingSubnet, reason: str) -> None:
    (only,) = reasons(subnet)
    assert reason in only


def test_a_subnet_that_fits() -> None:
    assert reasons(found()) == reasons(found(WEB_AND_SSH)) == []
    assert subnet_warnings(found(WEB_AND_SSH), settings()) == []


def test_the_stacks_own_interface_uses_no_free_address() -> None:
    nic = OWN.replace("/chat/", "/CHAT/") + "providers/Microsoft.Network/networkInterfaces/nic"
    others = [f"/nic{number}" for number in range(10)]
    assert reasons(found(ipConfigurations=used(nic, *others))) == []


@pytest.mark.parametrize(
    ("rules", "changes", "refused"),
    [
        # The default rules let only the network itself in.
        ([], {}, ["0.0.0.0/0 of allowedClients from port 443", "203.0.113.7/32 of sshClients"]),
        ([], PRIVATE, ["203.0.113.7/32 of sshClients from port 22"]),
        ([], {"allowed_clients": ("10.5.9.0/24",), "ssh_clients": ("10.5.0.9/32",)}, []),
        # A range is let in as a part of a larger one; a rule for everyone has to be for everyone.
        ([rule("web", 100, source="203.0.0.0/16"), WEB_AND_SSH[1]],
         {"allowed_clients": ("203.0.113.0/24",)}, []),
        ([rule("web", 100, source="203.0.0.0/16"), WEB_AND_SSH[1]], {}, ["0.0.0.0/0"]),
        ([rule("web", 100, source="Internet"), WEB_AND_SSH[1]], {}, []),
        # The first rule that fits decides, and rules for others do not count.
        ([rule("no", 90, access="Deny", protocol="*"), *WEB_AND_SSH], {}, ["no of its security"]),
        ([rule("no", 90, access="Deny", source="198.51.100.0/24"), *WEB_AND_SSH], {}, []),
        ([rule("no", 90, access="Deny", destination="10.5.1.4/32"), *WEB_AND_SSH], {}, []),
        ([rule("web", 100, destination="10.5.1.4/32"), WEB_AND_SSH[1]], {}, ["DenyAllInBound"]),
        ([rule("web", 100, protocol="Udp"), WEB_AND_SSH[1]], {}, ["DenyAllInBound"]),
    ],
)  # fmt: skip
def test_the_security_group_of_the_subnet_has_to_let_users_and_operators_in(
    rules: list[dict[str, Any]], changes: dict[str, Any], refused: list[str]
) -> None:
    found_reasons = reasons(found(rules), **changes)
    assert len(found_reasons) == len(refused)
    for reason, part in zip(found_reasons, refused, strict=True):
        assert part in reason


def test_a_closed_port_80_is_only_a_warning() -> None:
    subnet = found([rule("https", 100), WEB_AND_SSH[1]])
    assert reasons(subnet) == []
    (warning,) = subnet_warnings(subnet, settings())
    assert "from port 80, which only leads to HTTPS" in warning


def test_what_may_work_is_a_warning() -> None:
    unread = found(networkSecurityGroup={"id": "/x/company-nsg"})
    (warning,) = subnet_warnings(unread, settings())
    assert "company-nsg cannot be read" in warning

    wide = found(addressSpace={"addressPrefixes": ["10.0.0.0/8"]})
    (warning,) = subnet_warnings(wide, settings())
    assert "10.0.0.0/8 includes 10.89.0.0/24" in warning


@pytest.mark.parametrize("way", ["natGateway", "routeTable"])
def test_a_private_machine_without_a_way_to_the_internet_is_a_warning(way: str) -> None:
    (warning,) = subnet_warnings(found(), settings(**PRIVATE))
    assert "no default outbound access" in warning
    assert subnet_warnings(found(None, **{way: {"id": "/x"}}), settings(**PRIVATE)) == []
