"""Virtual networks: network namespaces with Azure's routing, translation and security groups.

A network is a router in a namespace of its own. Every interface has its own link to the router, as
on Azure, so neighbours too reach each other only through the router and its security groups:

    client 127.0.0.7 -> 127.20.N.4        on the host: becomes 198.51.100.7 -> 198.18.N.4
      -> router: 198.18.N.4 becomes 10.0.0.4, security groups -> the machine's own namespace

127.0.0.0/24 are the clients; machines see them as 198.51.100.0/24 (a documentation range).
Outbound traffic leaves through slirp4netns, so the host forwards nothing and stays unchanged.
"""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from emulator.azure.fabric import FabricError
from emulator.host.commands import run, succeeds
from emulator.host.desired import DesiredInterface, DesiredNetwork
from emulator.host.nsg import AZURE_HOST, Direction, compile_rules
from emulator.host.places import Numbers, Places
from emulator.host.processes import Processes
from emulator.host.speeds import Speeds, limit_network

MIRROR_PORT = 8480
_CLIENTS = "127.0.0.0/24"
_CLIENTS_SEEN = "198.51.100.0/24"
_EGRESS = "198.19.255.0/24"
EGRESS_NAME_SERVER = "198.19.255.3"
_ROUTER_TABLE = "azure"


class Networks:
    """The virtual networks of one instance on this host."""

    def __init__(
        self, places: Places, numbers: Numbers, processes: Processes, mirror: Path
    ) -> None:
        self._places = places
        self._numbers = numbers
        self._processes = processes
        self._mirror = mirror
        self._speeds = Speeds(places)

    def reconcile(self, networks: Iterable[DesiredNetwork]) -> None:
        """Create these networks, and remove all others. Raises FabricError."""
        networks = list(networks)
        self._remove_others(networks)
        for network in networks:
            self._make_router(network)
            for interface in network.interfaces:
                self._plug(network, interface)
            self._apply_rules(network)
            self._start_egress(network)
            if network.gateways:
                self._start_mirrors(network)
        self._publish(networks)

    def namespace_of(self, interface_id: str) -> str:
        """The namespace in which a machine with this interface runs."""
        return self._places.interface_namespace(self._numbers.of("interface", interface_id))

    def router_of(self, network_id: str) -> str:
        return self._places.network_namespace(self._numbers.of("network", network_id))

    def _remove_others(self, networks: list[DesiredNetwork]) -> None:
        kept = {interface.id for network in networks for interface in network.interfaces}
        for interface_id in self._numbers.known("interface"):
            if interface_id not in kept:
                remove_namespace(self.namespace_of(interface_id))
                self._numbers.forget("interface", interface_id)
        kept = {network.id for network in networks}
        for network_id, number in self._numbers.known("network").items():
            if network_id not in kept:
                for kind in ("egress", "mirrors", "metadata", "blobs"):
                    helper = f"{kind}-{number}"
                    self._processes.stop(helper)
                remove_link(self._places.host_link(number))
                remove_namespace(self.router_of(network_id))
                self._numbers.forget("network", network_id)

    def _make_router(self, network: DesiredNetwork) -> None:
        number = self._numbers.of("network", network.id)
        router, link = self.router_of(network.id), self._places.host_link(number)
        host_end, router_end = _link_addresses(self._places.instance.number, number)
        make_namespace(router)
        if not _has_link("host", router):
            remove_link(link)
            _ip(f"link add {link} type veth peer name host netns {router}")
        Path(f"/proc/sys/net/ipv4/conf/{link}/route_localnet").write_text("1")
        _ip(f"address replace {host_end}/30 dev {link}")
        _ip(f"link set {link} up")
        _enable(router, "ip_forward")
        _ip(f"address replace {router_end}/30 dev host", router)
        _ip("link set host up", router)
        _ip(f"route replace {_CLIENTS_SEEN} via {host_end}", router)
        for gateway in network.gateways:
            _ip(f"address replace {gateway}/32 dev lo", router)

    def _plug(self, network: DesiredNetwork, interface: DesiredInterface) -> None:
        """Create the interface's namespace and its link to the router, both set up as on Azure."""
        router, link = self.router_of(network.id), self._router_link(interface)
        inside = self.namespace_of(interface.id)
        make_namespace(inside)
        if not _has_link("eth0", inside):
            remove_link(link, router)
            _ip(f"link add {link} type veth peer name eth0 netns {inside}", router)
        # To the machine its subnet is one wire; the router answers ARP for every address on it.
        _enable(router, f"conf/{link}/proxy_arp")
        _ip(f"link set {link} up", router)
        _ip(f"route replace {interface.address}/32 dev {link}", router)
        _give_address(inside, f"{interface.address}/{interface.prefix_length}")
        _ip("link set eth0 up", inside)
        _ip(f"route replace default via {interface.gateway}", inside)
        mbits = self._speeds.read().network_mbits
        limit_network(router, link, mbits)
        limit_network(inside, "eth0", mbits)

    def _router_link(self, interface: DesiredInterface) -> str:
        return f"nic{self._numbers.of('interface', interface.id)}"

    def _apply_rules(self, network: DesiredNetwork) -> None:
        links = {self._router_link(interface): interface for interface in network.interfaces}
        run(
            _in_namespace(self.router_of(network.id), "nft -f -"),
            stdin=router_ruleset(network, links),
        )

    def _start_egress(self, network: DesiredNetwork) -> None:
        router, number = self.router_of(network.id), self._numbers.of("network", network.id)
        command = (
            f"slirp4netns --configure --mtu=1500 --cidr={_EGRESS} --disable-host-loopback "
            f"--netns-type=path /run/netns/{router} internet"
        )
        self._processes.ensure(
            f"egress-{number}",
            command.split(),
            ready=lambda: "default" in _ip("route show", router),
        )

    def _start_mirrors(self, network: DesiredNetwork) -> None:
        router, number = self.router_of(network.id), self._numbers.of("network", network.id)
        address = f"{network.gateways[0]} {MIRROR_PORT}"
        server = [sys.executable, "-m", "emulator.host.mirrors", str(self._mirror)]
        self._processes.ensure(
            f"mirrors-{number}",
            [*_in_namespace(router, ""), *server, *address.split()],
            ready=lambda: bool(run(_in_namespace(router, f"ss -Hltn sport = :{MIRROR_PORT}"))),
        )

    def _publish(self, networks: list[DesiredNetwork]) -> None:
        """Route public addresses to their routers, and refuse connections to all others."""
        links: list[str] = []
        published: dict[str, str] = {}
        for network in networks:
            number = self._numbers.of("network", network.id)
            link = self._places.host_link(number)
            links.append(link)
            _, router_end = _link_addresses(self._places.instance.number, number)
            for interface in network.interfaces:
                if interface.public_address:
                    inner = inner_address(interface.public_address)
                    published[interface.public_address] = inner
                    _ip(f"route replace {inner}/32 via {router_end} dev {link}")
        ruleset = host_ruleset(
            self._places.host_table, f"127.20.{self._places.instance.number}.0/24", published, links
        )
        run(["nft", "-f", "-"], stdin=ruleset)


def inner_address(public: str) -> str:
    """A public address as it is between host and router: 127.20.N.x -> 198.18.N.x."""
    return public.replace("127.20.", "198.18.", 1)


def host_ruleset(table: str, publics: str, published: dict[str, str], links: list[str]) -> str:
    """The host's own table: each public address is routed to its router, all others refuse."""
    leads = [f"ip daddr {public} dnat to {inner}" for public, inner in sorted(published.items())]
    masks = [
        f'oifname "{link}" ip saddr {_CLIENTS} snat ip prefix to '
        f"ip saddr map {{ {_CLIENTS} : {_CLIENTS_SEEN} }}"
        for link in links
    ]
    refuses = [
        f"ip daddr {publics} meta l4proto tcp reject with tcp reset",
        f"ip daddr {publics} drop",
    ]
    return _table(
        table,
        {
            "lead": ["type nat hook output priority -100", *leads],
            "refuse": ["type filter hook output priority 0", *refuses],
            "mask": ["type nat hook postrouting priority 100", *masks],
        },
    )


def router_ruleset(network: DesiredNetwork, links: dict[str, DesiredInterface]) -> str:
    """The router's table: translation of public addresses and every interface's groups."""
    chains: dict[str, list[str]] = {
        "translate": ["type nat hook prerouting priority -100"],
        "hide": ["type nat hook postrouting priority 100", 'oifname "internet" masquerade'],
        "local": [
            "type filter hook input priority 0; policy drop",
            "ct state established,related accept",
            'iifname "lo" accept',
            'iifname "nic*" accept',
        ],
        "forward": [
            "type filter hook forward priority 0; policy drop",
            "ct state established,related accept",
            "ct state invalid drop",
        ],
    }
    chains["translate"] += [
        f"ip daddr {AZURE_HOST} {protocol} dport 53 dnat to {EGRESS_NAME_SERVER}"
        for protocol in ("udp", "tcp")
    ]
    for link, interface in links.items():
        if interface.public_address:
            inner = inner_address(interface.public_address)
            chains["translate"].append(f"ip daddr {inner} dnat to {interface.address}")
        chains["forward"].append(f'iifname "{link}" ip saddr != {interface.address} drop')
    # Azure's name server can be reached whatever the groups say.
    chains["forward"].append(f"ct original ip daddr {AZURE_HOST} accept")
    for link, interface in links.items():
        chains["forward"].append(f'iifname "{link}" jump from_{link}')
        chains |= _guard_chains(f"from_{link}", interface, "Outbound", network.prefixes)
    for link, interface in links.items():
        chains["forward"].append(f'oifname "{link}" jump to_{link}')
        chains |= _guard_chains(f"to_{link}", interface, "Inbound", network.prefixes)
    chains["forward"] += [
        f'iifname "{link}" oifname "internet" drop'
        for link, interface in links.items()
        if not interface.outbound
    ]
    chains["forward"] += [
        'oifname "nic*" accept',
        'iifname "nic*" oifname "internet" accept',
        "meta l4proto tcp reject with tcp reset",
    ]
    return _table(_ROUTER_TABLE, chains)


def _guard_chains(
    name: str, interface: DesiredInterface, direction: Direction, prefixes: tuple[str, ...]
) -> dict[str, list[str]]:
    """A chain per group, and one that calls them in Azure's order: inbound, the subnet's first."""
    chains = {
        f"{name}_{index}": compile_rules(rules, direction, prefixes)
        for index, rules in enumerate(interface.guards)
    }
    order = list(chains) if direction == "Inbound" else list(reversed(chains))
    return chains | {name: [f"jump {chain}" for chain in order]}


def _table(name: str, chains: dict[str, list[str]]) -> str:
    """A complete table that replaces the former one in a single transaction."""
    # A chain must be defined before another jumps to it.
    order = sorted(chains, key=lambda chain: chain.count("_"), reverse=True)
    lines = [f"table ip {name} {{", "}", f"delete table ip {name}", f"table ip {name} {{"]
    for chain in order:
        lines += [f"  chain {chain} {{", *(f"    {line}" for line in chains[chain]), "  }"]
    return "\n".join([*lines, "}", ""])


def make_namespace(name: str) -> None:
    """Create a network namespace, and replace one that is left from before a reboot."""
    if succeeds(["ip", "-n", name, "link", "set", "lo", "up"]):
        return
    remove_namespace(name)
    _ip(f"netns add {name}")
    _ip("link set lo up", name)


def remove_namespace(name: str) -> None:
    if name in namespaces():
        _ip(f"netns delete {name}")


def namespaces() -> set[str]:
    """The names of all network namespaces of the host."""
    return {entry["name"] for entry in json.loads(_ip("-j netns list") or "[]")}


def remove_link(name: str, namespace: str | None = None) -> None:
    """Remove a link at once; with its namespace it would disappear some time later."""
    if _has_link(name, namespace):
        _ip(f"link delete {name}", namespace)


def _has_link(name: str, namespace: str | None = None) -> bool:
    within = ["-n", namespace] if namespace else []
    return succeeds(["ip", *within, "link", "show", name])


def _give_address(namespace: str, address: str) -> None:
    """Give eth0 this address and no other."""
    found = json.loads(_ip("-j -4 address show dev eth0", namespace))
    have = {
        f"{entry['local']}/{entry['prefixlen']}"
        for link in found
        for entry in link.get("addr_info", [])
    }
    for other in have - {address}:
        _ip(f"address delete {other} dev eth0", namespace)
    _ip(f"address replace {address} dev eth0", namespace)


def _link_addresses(instance: int, network: int) -> tuple[str, str]:
    """The addresses of host and router on the link between them, unique on the host."""
    if network > 63:
        raise FabricError(
            "OperationNotAllowed", "The emulator supports at most 64 virtual networks."
        )
    base = ipaddress.IPv4Address("169.254.0.0") + instance * 256 + network * 4
    return str(base + 1), str(base + 2)


def _ip(command: str, namespace: str | None = None) -> str:
    within = ["-n", namespace] if namespace else []
    return run(["ip", *within, *command.split()])


def _in_namespace(namespace: str, command: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *command.split()]


def _enable(namespace: str, *settings: str) -> None:
    """Write 1 to settings below /proc/sys/net/ipv4, in which a process sees its own network."""
    for setting in settings:
        run(_in_namespace(namespace, f"tee /proc/sys/net/ipv4/{setting}"), stdin="1")
