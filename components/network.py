"""The cloud's network: resource group, VNet, subnet, NSG, public address, NIC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
from pulumi_azure_native import network, resources

from components.tags import Tags
from ollamazure.settings.stack import Settings

VNET_PREFIX = "10.0.0.0/16"
SUBNET_PREFIX = "10.0.0.0/24"
# The address of the guide's machine. Azure keeps the first four of a subnet for itself.
PRIVATE_ADDRESS = "10.0.0.4"


@dataclass(frozen=True)
class NetworkArgs:
    """What the network is made from.

    Attributes:
        group_name: of the resource group.
        settings: the stack's.
        tags: of each resource.
    """

    group_name: str
    settings: Settings
    tags: Tags


class Network(pulumi.ComponentResource):
    """Everything between the internet and the machine.

    Attributes:
        group: the resource group.
        nic: the machine's network interface.
        address: the public IPv4 address; previews know it as soon as it exists.
    """

    group: resources.ResourceGroup
    nic: network.NetworkInterface
    address: pulumi.Output[str]

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        in_group, location = {"resource_group_name": args.group_name}, settings.location

        self.group = resources.ResourceGroup(
            "resource-group",
            resource_group_name=args.group_name,
            location=location,
            tags=args.tags.of(resources.get_resource_group, **in_group),
            opts=child,
        )
        security_group = network.NetworkSecurityGroup(
            "nsg",
            network_security_group_name="nsg",
            resource_group_name=self.group.name,
            security_rules=_rules(settings.ssh_clients),
            location=location,
            tags=args.tags.of(
                network.get_network_security_group, network_security_group_name="nsg", **in_group
            ),
            opts=child,
        )
        vnet = network.VirtualNetwork(
            "vnet",
            virtual_network_name="vnet",
            resource_group_name=self.group.name,
            address_space={"address_prefixes": [VNET_PREFIX]},
            # As part of the VNet's request the subnet cannot be overwritten by a later one.
            subnets=[
                {
                    "name": "machines",
                    "address_prefix": SUBNET_PREFIX,
                    "default_outbound_access": False,
                    "network_security_group": {"id": security_group.id},
                }
            ],
            location=location,
            tags=args.tags.of(network.get_virtual_network, virtual_network_name="vnet", **in_group),
            opts=child,
        )
        public_ip = network.PublicIPAddress(
            "public-ip",
            public_ip_address_name="public-ip",
            resource_group_name=self.group.name,
            sku={"name": network.PublicIPAddressSkuName.STANDARD},
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            dns_settings={"domain_name_label": settings.dns_label} if settings.dns_label else None,
            location=location,
            tags=args.tags.of(
                network.get_public_ip_address, public_ip_address_name="public-ip", **in_group
            ),
            opts=child,
        )
        self.nic = network.NetworkInterface(
            "nic",
            network_interface_name="nic",
            resource_group_name=self.group.name,
            ip_configurations=[
                {
                    "name": "primary",
                    "primary": True,
                    "private_ip_allocation_method": network.IPAllocationMethod.STATIC,
                    "private_ip_address": PRIVATE_ADDRESS,
                    "subnet": {"id": pulumi.Output.concat(vnet.id, "/subnets/machines")},
                    "public_ip_address": {"id": public_ip.id},
                }
            ],
            location=location,
            tags=args.tags.of(
                network.get_network_interface, network_interface_name="nic", **in_group
            ),
            opts=child,
        )
        # azure-native previews an update with unknown outputs, and then everything that uses the
        # address would preview as changed too. So the address is read from Azure.
        self.address = network.get_public_ip_address_output(
            resource_group_name=args.group_name,
            public_ip_address_name="public-ip",
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[public_ip]),
        ).apply(lambda known: _required(known.ip_address))
        self.register_outputs({"address": self.address})


def _required(address: str | None) -> str:
    """The address of a static public IP, which Azure assigns when it creates the resource."""
    if not address:
        raise ValueError("Azure has not given the public IP an address; run `pulumi up` again")
    return address


def _rules(ssh_clients: Sequence[str]) -> list[network.SecurityRuleArgs]:
    """HTTPS and its redirect for everyone, SSH for the listed clients, nothing else."""

    def allow(
        name: str, priority: int, port: int, sources: Sequence[str], why: str
    ) -> network.SecurityRuleArgs:
        return network.SecurityRuleArgs(
            name=name,
            description=why,
            priority=priority,
            direction=network.SecurityRuleDirection.INBOUND,
            access=network.SecurityRuleAccess.ALLOW,
            protocol=network.SecurityRuleProtocol.TCP,
            source_port_range="*",
            source_address_prefixes=list(sources) or None,
            source_address_prefix=None if sources else "*",
            destination_address_prefix="*",
            destination_port_range=str(port),
        )

    everyone: Sequence[str] = ()
    widest = _without_parts_of_others(ssh_clients)
    return [
        allow("https", 100, 443, everyone, "The chat."),
        allow("http", 110, 80, everyone, "Redirects to HTTPS."),
        allow("ssh", 120, 22, widest, "Pulumi and the operators (setting sshClients)."),
    ]


def _without_parts_of_others(ranges: Sequence[str]) -> list[str]:
    """The ranges that are in no other one, in their order: Azure refuses a rule with overlaps.

    A workflow may add its runner's address to a list that already has a range around it.
    """
    networks = dict.fromkeys(map(IPv4Network, ranges))
    return [
        str(network)
        for network in networks
        if not any(network.supernet(new_prefix=n) in networks for n in range(network.prefixlen))
    ]
