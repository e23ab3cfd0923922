"""Whether the subnet of network.subnetId fits the settings: pure, from what Azure reports of it.

The program reads it through Pulumi and preflight through `az`; both show ARM's properties without
nesting. https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview explains
how Azure applies security rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from ollamazure.settings.problems import NAMESPACE, Violation, command
from ollamazure.settings.stack import Settings

# mynet, the network of the containers (guest/etc/containers/systemd/mynet.network).
CONTAINERS = IPv4Network("10.89.0.0/24")
EVERYONE = IPv4Network("0.0.0.0/0")
# Azure keeps the first four addresses of a subnet and the last one.
RESERVED_BY_AZURE = 5
HTTPS, HTTP, SSH = 443, 80, 22


class SubnetName(NamedTuple):
    """The parts of a subnet's ARM id."""

    subscription: str
    group: str
    network: str
    subnet: str

    @classmethod
    def of(cls, subnet_id: str) -> SubnetName:
        _, _, subscription, _, group, _, _, _, network, _, subnet = subnet_id.split("/")
        return cls(subscription, group, network, subnet)


def network_of(subnet_id: str) -> str:
    """The ARM id of a subnet's network, in lower case, so that two ids can be compared."""
    return subnet_id.lower().rpartition("/subnets/")[0]


@dataclass(frozen=True)
class ExistingSubnet:
    """A subnet, its network and its security group, as Azure reports them.

    Attributes:
        subnet: the subnet.
        network: its virtual network.
        group: the security group of the subnet; None without one, or if it cannot be read.
        own: the lower-case start of the ids of the stack's own resources.
    """

    subnet: Mapping[str, Any]
    network: Mapping[str, Any]
    group: Mapping[str, Any] | None
    own: str

    @property
    def prefixes(self) -> list[IPv4Network]:
        """The subnet's IPv4 ranges."""
        one = self.subnet.get("addressPrefix")
        return _ipv4([one] if one else self.subnet.get("addressPrefixes") or [])

    @property
    def space(self) -> list[IPv4Network]:
        """The network's IPv4 ranges."""
        return _ipv4(self.network["addressSpace"]["addressPrefixes"])

    @property
    def free(self) -> int:
        """Addresses that a machine of this stack can have."""
        used = self.subnet.get("ipConfigurations") or []
        others = [each for each in used if not each["id"].lower().startswith(self.own)]
        room = sum(prefix.num_addresses - RESERVED_BY_AZURE for prefix in self.prefixes)
        return room - len(others)


def subnet_violations(found: ExistingSubnet, settings: Settings) -> list[Violation]:
    """Why Azure would refuse the machine in this subnet, or keep its users out."""
    path, given = ("network", "subnetId"), settings.network.subnet_id
    problems = [*_refused_by_azure(found, settings), *_closed(found, settings)]
    return [Violation(path, given, reason, fix=fix) for reason, fix in problems]


def subnet_warnings(found: ExistingSubnet, settings: Settings) -> list[str]:
    """What the operator should know of a subnet that can be used."""
    risks = [*_risks(found, settings)]
    for reason, fix in _refusals(found, settings, HTTP, "allowedClients", settings.allowed_clients):
        risks.append(f"{reason}, which only leads to HTTPS. To change that: {fix}")
    return [f"{NAMESPACE}:network.subnetId: {risk}." for risk in risks]


def _refused_by_azure(found: ExistingSubnet, settings: Settings) -> Iterator[tuple[str, str]]:
    """Reasons with their fixes."""
    other = "use another subnet"
    location = found.network["location"].replace(" ", "").lower()
    if location != settings.location:
        reason = f"its network is in {location}, and Azure requires the region of the machine"
        yield reason, command(("location",), location)
    delegations = found.subnet.get("delegations") or []
    if delegations:
        services = ", ".join(each.get("serviceName") or each["name"] for each in delegations)
        code = "ResourceNotPermittedOnDelegatedSubnet"
        yield f"it is delegated to {services}, so Azure refuses a machine in it ({code})", other
    if not found.prefixes:
        yield "it has no IPv4 range, which the machine needs", other
    elif found.free < 1:
        yield "it has no free address (SubnetIsFull)", "use a larger subnet"
    for prefix in found.prefixes:
        if prefix.overlaps(CONTAINERS):
            reason = f"its range {prefix} overlaps {CONTAINERS}, the containers' on the machine"
            yield reason, other


def _closed(found: ExistingSubnet, settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _refusals(found, settings, HTTPS, "allowedClients", settings.allowed_clients)
    yield from _refusals(found, settings, SSH, "sshClients", settings.ssh_clients)


def _refusals(
    found: ExistingSubnet, settings: Settings, port: int, key: str, clients: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """A reason and a fix for each client that the subnet's security group keeps from a port."""
    if found.group is None:
        return
    for client in map(IPv4Network, clients):
        # No one on the internet reaches a private address: everyone is everyone in the network.
        private = client == EVERYONE and not settings.public_address
        for source in found.space if private else [client]:
            rule = _refusing_rule(found.group, port, source, found)
            if rule:
                yield (
                    f"{rule} of its security group {found.group['name']} keeps {source} of {key} "
                    f"from port {port}",
                    f"have its owner add a rule before {rule} that allows TCP from {source} to "
                    f"port {port}, or change {NAMESPACE}:{key}",
                )


def _refusing_rule(
    group: Mapping[str, Any], port: int, source: IPv4Network, found: ExistingSubnet
) -> str | None:
    """The name of the rule that keeps all of a range out; None if some of it is let in.

    Everyone counts as let in only if all are.
    """
    rules = [*(group.get("securityRules") or ()), *(group.get("defaultSecurityRules") or ())]
    let_in = source.subnet_of if source == EVERYONE else source.overlaps
    for rule in sorted(rules, key=lambda rule: int(rule["priority"])):
        if _applies(rule, port, found):
            ranges = _ranges(_values(rule, "sourceAddressPrefix"), found)
            if rule["access"].lower() == "deny" and any(map(source.subnet_of, ranges)):
                return str(rule["name"])
            if rule["access"].lower() == "allow" and any(map(let_in, ranges)):
                return None
    return None


def _applies(rule: Mapping[str, Any], port: int, found: ExistingSubnet) -> bool:
    """Whether a rule is about incoming TCP to a port of every machine in the subnet."""
    if rule["direction"].lower() != "inbound" or rule["protocol"].lower() not in ("*", "tcp"):
        return False
    if not any(_holds(ports, port) for ports in _values(rule, "destinationPortRange")):
        return False
    destinations = _ranges(_values(rule, "destinationAddressPrefix"), found)
    return all(any(map(prefix.subnet_of, destinations)) for prefix in found.prefixes)


def _ranges(prefixes: Sequence[str], found: ExistingSubnet) -> list[IPv4Network]:
    """The ranges that a rule names; those of a service tag that is not known here are left out."""
    ranges: list[IPv4Network] = []
    for prefix in prefixes:
        name = prefix.lower()
        if name in ("*", "any", "internet"):
            ranges.append(EVERYONE)
        elif name == "virtualnetwork":
            ranges += found.space
        else:
            ranges += _ipv4([prefix])
    return ranges


def _ipv4(prefixes: Sequence[str]) -> list[IPv4Network]:
    networks = []
    for prefix in prefixes:
        try:
            networks.append(IPv4Network(prefix, strict=False))
        except ValueError:  # IPv6, or a service tag
            continue
    return networks


def _values(rule: Mapping[str, Any], name: str) -> list[str]:
    """The values of a property that a rule has once (`name`) or as a list (`names`)."""
    many = rule.get(f"{name}es" if name.endswith("x") else f"{name}s") or []
    return [*([rule[name]] if rule.get(name) else []), *many]


def _holds(ports: str, port: int) -> bool:
    first, _, last = ports.partition("-")
    return ports == "*" or int(first) <= port <= int(last or first)


def _risks(found: ExistingSubnet, settings: Settings) -> Iterator[str]:
    within = [space for space in found.space if space.overlaps(CONTAINERS)]
    if within and not any(map(CONTAINERS.overlaps, found.prefixes)):
        yield (
            f"its network's range {within[0]} includes {CONTAINERS}, the containers' on the "
            "machine, so the machine does not reach others with such addresses"
        )
    ways = (found.subnet.get("natGateway"), found.subnet.get("routeTable"))
    private = found.subnet.get("defaultOutboundAccess") is False
    if settings.network.outbound == "existing" and private and not any(ways):
        yield (
            "it has no NAT gateway, no route table and no default outbound access; without another "
            "way to the internet the machine's first boot fails"
        )
    group = found.subnet.get("networkSecurityGroup")
    if group and found.group is None:
        name = group["id"].rpartition("/")[2]
        yield f"its security group {name} cannot be read, so whether it lets users in is unknown"
