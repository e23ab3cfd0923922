"""All resource types with rules, by their names in Azure's spelling."""

from __future__ import annotations

from emulator.azure.compute import DISK, MACHINE, Disk, VirtualMachine
from emulator.azure.groups import ResourceGroup
from emulator.azure.kinds import Kind
from emulator.azure.names import GROUP
from emulator.azure.network import (
    ADDRESS,
    INTERFACE,
    NETWORK,
    SECURITY_GROUP,
    SUBNET,
    NetworkInterface,
    PublicAddress,
    SecurityGroup,
    Subnet,
    VirtualNetwork,
)

KINDS: dict[str, Kind] = {
    GROUP: ResourceGroup(),
    NETWORK: VirtualNetwork(),
    SUBNET: Subnet(),
    SECURITY_GROUP: SecurityGroup(),
    ADDRESS: PublicAddress(),
    INTERFACE: NetworkInterface(),
    DISK: Disk(),
    MACHINE: VirtualMachine(),
}
