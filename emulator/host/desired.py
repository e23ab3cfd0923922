"""What should exist on the host, read from ARM bodies. Nothing here touches the host."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.host.nsg import NO_GROUP, NsgRule, rules_of

Resources = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class DesiredInterface:
    """A network interface: its addresses and the security groups that guard it.

    `guards` are the rule sets that a packet must pass, the subnet's first. `outbound` is whether it
    has a way to the internet: a public address, a NAT gateway, or Azure's default for the subnet.
    """

    id: str
    address: str
    prefix_length: int
    gateway: str
    public_address: str | None
    guards: tuple[tuple[NsgRule, ...], ...]
    outbound: bool = True


@dataclass(frozen=True)
class DesiredNetwork:
    """A virtual network with its subnets' gateways and its interfaces."""

    id: str
    prefixes: tuple[str, ...]
    gateways: tuple[str, ...]
    interfaces: tuple[DesiredInterface, ...]


@dataclass(frozen=True)
class DesiredDisk:
    """A managed data disk; OS disks are part of their machine."""

    id: str
    size_gib: int

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]


@dataclass(frozen=True)
class DesiredMachine:
    """A virtual machine. `identity` is its vmId: with another one it is another machine.

    `name` is its name on the host. A machine whose provisioning has `failed` stays as it is until
    the next PUT, so that it does not make every other operation fail as well.
    """

    id: str
    identity: str
    name: str
    size: str
    host_name: str
    user: str
    keys: tuple[str, ...]
    custom_data: bytes
    interface: str
    disks: tuple[tuple[int, str], ...]
    running: bool
    failed: bool


@dataclass(frozen=True)
class Desired:
    """Everything that should exist on the host for an instance."""

    networks: tuple[DesiredNetwork, ...]
    disks: tuple[DesiredDisk, ...]
    machines: tuple[DesiredMachine, ...]

    def cable_of(self, machine: DesiredMachine) -> tuple[DesiredNetwork, DesiredInterface]:
        """The network and the interface of a machine."""
        return next(
            (network, interface)
            for network in self.networks
            for interface in network.interfaces
            if interface.id == machine.interface
        )

    @classmethod
    def read(cls, resources: Resources) -> Desired:
        """Read ARM bodies by lower-cased id, as Fabric.reconcile gets them."""
        return cls(
            networks=tuple(
                _network(arm_id, body, resources)
                for arm_id, body in _of_type(resources, "microsoft.network/virtualnetworks")
            ),
            disks=tuple(
                DesiredDisk(arm_id, body["properties"]["diskSizeGB"])
                for arm_id, body in _of_type(resources, "microsoft.compute/disks")
                if not body["properties"].get("osType")
            ),
            machines=tuple(
                _machine(arm_id, body)
                for arm_id, body in _of_type(resources, "microsoft.compute/virtualmachines")
            ),
        )


def name_on_host(arm_id: str) -> str:
    """`<resource group>.<name>`, because two groups may hold things of the same name.

    `arm_id` is in lower case.
    """
    group = arm_id.partition("/resourcegroups/")[2].partition("/")[0]
    return f"{group}.{arm_id.rpartition('/')[2]}"


def _of_type(resources: Resources, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The resources `…/providers/<kind>/<name>`; not their children."""
    return [
        (arm_id, body)
        for arm_id, body in sorted(resources.items())
        if arm_id.partition("/providers/")[2].rpartition("/")[0] == kind
    ]


def _network(arm_id: str, body: Mapping[str, Any], resources: Resources) -> DesiredNetwork:
    subnets = {
        f"{arm_id}/subnets/{subnet['name'].lower()}": subnet
        for subnet in body["properties"].get("subnets") or []
    }
    interfaces = []
    for interface_id, interface in _of_type(resources, "microsoft.network/networkinterfaces"):
        ip = interface["properties"]["ipConfigurations"][0]["properties"]
        if (subnet := subnets.get(_reference(ip["subnet"]))) is not None:
            interfaces.append(_interface(interface_id, interface, ip, subnet, resources))
    return DesiredNetwork(
        id=arm_id,
        prefixes=tuple(body["properties"]["addressSpace"]["addressPrefixes"]),
        gateways=tuple(_gateway(subnet) for subnet in subnets.values()),
        interfaces=tuple(interfaces),
    )


def _interface(
    arm_id: str,
    body: Mapping[str, Any],
    ip: Mapping[str, Any],
    subnet: Mapping[str, Any],
    resources: Resources,
) -> DesiredInterface:
    groups = [
        resources[_reference(owner["networkSecurityGroup"])]
        for owner in (subnet["properties"], body["properties"])
        if owner.get("networkSecurityGroup")
    ]
    public, of_subnet = ip.get("publicIPAddress"), subnet["properties"]
    by_default = of_subnet.get("defaultOutboundAccess") is not False
    return DesiredInterface(
        id=arm_id,
        address=ip["privateIPAddress"],
        prefix_length=_subnet_prefix(subnet).prefixlen,
        gateway=_gateway(subnet),
        public_address=resources[_reference(public)]["properties"]["ipAddress"] if public else None,
        guards=tuple(rules_of(group) for group in groups) or (NO_GROUP,),
        outbound=bool(public or of_subnet.get("natGateway") or by_default),
    )


def _subnet_prefix(subnet: Mapping[str, Any]) -> ipaddress.IPv4Network:
    properties = subnet["properties"]
    return ipaddress.IPv4Network(
        properties.get("addressPrefix") or properties["addressPrefixes"][0]
    )


def _gateway(subnet: Mapping[str, Any]) -> str:
    return str(_subnet_prefix(subnet)[1])


def _machine(arm_id: str, body: Mapping[str, Any]) -> DesiredMachine:
    properties = body["properties"]
    profile = properties["osProfile"]
    ssh = (profile.get("linuxConfiguration") or {}).get("ssh") or {}
    statuses = (properties.get("instanceView") or {}).get("statuses") or []
    return DesiredMachine(
        id=arm_id,
        identity=properties["vmId"],
        name=name_on_host(arm_id),
        size=properties["hardwareProfile"]["vmSize"],
        host_name=profile["computerName"],
        user=profile["adminUsername"],
        keys=tuple(key["keyData"].strip() for key in ssh.get("publicKeys") or []),
        custom_data=base64.b64decode(profile.get("customData") or ""),
        interface=_reference(properties["networkProfile"]["networkInterfaces"][0]),
        disks=tuple(
            (disk["lun"], _reference(disk["managedDisk"]))
            for disk in properties["storageProfile"].get("dataDisks") or []
        ),
        running=not any(
            status["code"] in ("PowerState/stopped", "PowerState/deallocated")
            for status in statuses
        ),
        failed=properties.get("provisioningState") == "Failed",
    )


def _reference(body: Mapping[str, Any]) -> str:
    return str(body["id"]).lower()
