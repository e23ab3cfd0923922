"""All resource types with rules, by their names in Azure's spelling."""

from __future__ import annotations

from emulator.azure.addresses import PublicAddress
from emulator.azure.disks import Disk
from emulator.azure.groups import ResourceGroup
from emulator.azure.interfaces import NetworkInterface
from emulator.azure.kinds import ResourceKind
from emulator.azure.machines import VirtualMachine
from emulator.azure.names import (
    ADDRESS,
    DISK,
    GROUP,
    INTERFACE,
    MACHINE,
    NAT_GATEWAY,
    NETWORK,
    SECURITY_GROUP,
    SUBNET,
)
from emulator.azure.nat_gateways import NatGateway
from emulator.azure.networks import Subnet, VirtualNetwork
from emulator.azure.security_groups import SecurityGroup

KINDS: dict[str, ResourceKind] = {
    GROUP: ResourceGroup(),
    NETWORK: VirtualNetwork(),
    SUBNET: Subnet(),
    SECURITY_GROUP: SecurityGroup(),
    ADDRESS: PublicAddress(),
    NAT_GATEWAY: NatGateway(),
    INTERFACE: NetworkInterface(),
    DISK: Disk(),
    MACHINE: VirtualMachine(),
}
