"""The cloud's network: resource group, VNet or an existing subnet, NSG, public address, NIC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import pulumi
from pulumi.runtime import invoke
from pulumi_azure_native import authorization, network, resources

from components.node_exporter import PORT as METRICS_PORT
from components.tags import Tags
from ollamazure.settings.problems import SettingsError, Violation, problem_of
from ollamazure.settings.stack import Settings
from ollamazure.settings.subnet import (
    ExistingSubnet,
    SubnetName,
    network_of,
    subnet_violations,
    subnet_warnings,
)

VNET_PREFIX = "10.0.0.0/16"
SUBNET_PREFIX = "10.0.0.0/24"
# The address of the guide's machine. Azure keeps the first four of a subnet for itself.
PRIVATE_ADDRESS = "10.0.0.4"
EVERYONE = "0.0.0.0/0"
OWN_NETWORK = "own"
RIGHTS = "the role Reader on its virtual network (docs/how-to/use-an-existing-network.md)"


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
        address: the IPv4 address where the machine is reached: the public one, if there is one;
            previews know it as soon as it exists.
    """

    group: resources.ResourceGroup
    nic: network.NetworkInterface
    address: pulumi.Output[str]

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Network", name, None, opts)
        self._args = args
        settings = args.settings
        if settings.network.subnet_id:
            check_subnet(settings.network.subnet_id, args)
        in_group = {"resource_group_name": args.group_name}

        self.group = resources.ResourceGroup(
            "resource-group",
            resource_group_name=args.group_name,
            location=settings.location,
            tags=args.tags.of(resources.get_resource_group, **in_group),
            opts=pulumi.ResourceOptions(parent=self),
        )
        security_group = network.NetworkSecurityGroup(
            "nsg",
            network_security_group_name="nsg",
            resource_group_name=self.group.name,
            security_rules=_rules(settings),
            location=settings.location,
            tags=args.tags.of(
                network.get_network_security_group, network_security_group_name="nsg", **in_group
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        subnet_id = settings.network.subnet_id or self._own_subnet(security_group)
        public_ip = None
        if settings.public_address:
            label = settings.dns_label
            dns_settings = {"domain_name_label": label} if label else None
            public_ip = self._public_ip("public-ip", dns_settings)
        self.nic = self._nic(subnet_id, security_group, public_ip)
        self.address = self._address(public_ip)
        self.register_outputs({"address": self.address})

    def _own_subnet(self, security_group: network.NetworkSecurityGroup) -> pulumi.Output[str]:
        """The id of the subnet in a VNet of the stack's own."""
        args = self._args
        subnet: dict[str, Any] = {
            "name": "machines",
            "address_prefix": SUBNET_PREFIX,
            "default_outbound_access": False,
            "network_security_group": {"id": security_group.id},
        }
        if args.settings.network.outbound == "natGateway":
            subnet["nat_gateway"] = {"id": self._nat_gateway().id}
        vnet = network.VirtualNetwork(
            "vnet",
            virtual_network_name="vnet",
            resource_group_name=self.group.name,
            address_space={"address_prefixes": [VNET_PREFIX]},
            # As part of the VNet's request the subnet cannot be overwritten by a later one.
            subnets=[subnet],
            location=args.settings.location,
            tags=args.tags.of(
                network.get_virtual_network,
                virtual_network_name="vnet",
                resource_group_name=args.group_name,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.concat(vnet.id, "/subnets/machines")

    def _nat_gateway(self) -> network.NatGateway:
        """The way to the internet of a machine without a public address."""
        args = self._args
        return network.NatGateway(
            "nat-gateway",
            nat_gateway_name="nat-gateway",
            resource_group_name=self.group.name,
            sku={"name": network.NatGatewaySkuName.STANDARD},
            public_ip_addresses=[{"id": self._public_ip("nat-gateway-ip").id}],
            location=args.settings.location,
            tags=args.tags.of(
                network.get_nat_gateway,
                nat_gateway_name="nat-gateway",
                resource_group_name=args.group_name,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _public_ip(
        self, name: str, dns_settings: dict[str, str] | None = None
    ) -> network.PublicIPAddress:
        args = self._args
        return network.PublicIPAddress(
            name,
            public_ip_address_name=name,
            resource_group_name=self.group.name,
            sku={"name": network.PublicIPAddressSkuName.STANDARD},
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            dns_settings=dns_settings,
            location=args.settings.location,
            tags=args.tags.of(
                network.get_public_ip_address,
                public_ip_address_name=name,
                resource_group_name=args.group_name,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _nic(
        self,
        subnet_id: pulumi.Input[str],
        security_group: network.NetworkSecurityGroup,
        public_ip: network.PublicIPAddress | None,
    ) -> network.NetworkInterface:
        args, existing = self._args, self._args.settings.network.subnet_id
        method = network.IPAllocationMethod
        return network.NetworkInterface(
            "nic",
            network_interface_name="nic",
            resource_group_name=self.group.name,
            ip_configurations=[
                {
                    "name": "primary",
                    "primary": True,
                    # Azure chooses a free address of an existing subnet and keeps it for the NIC.
                    "private_ip_allocation_method": method.DYNAMIC if existing else method.STATIC,
                    "private_ip_address": None if existing else PRIVATE_ADDRESS,
                    "subnet": {"id": subnet_id},
                    "public_ip_address": {"id": public_ip.id} if public_ip else None,
                }
            ],
            # The security group of an existing subnet is not the stack's.
            network_security_group={"id": security_group.id} if existing else None,
            location=args.settings.location,
            tags=args.tags.of(
                network.get_network_interface,
                network_interface_name="nic",
                resource_group_name=args.group_name,
            ),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Azure moves a NIC to another subnet of its VNet only. The engine replaces nothing
                # when a stack of an earlier version gets its first trigger.
                replacement_trigger=network_of(existing) if existing else OWN_NETWORK,
                delete_before_replace=True,
            ),
        )

    def _address(self, public_ip: network.PublicIPAddress | None) -> pulumi.Output[str]:
        """The address, read from Azure.

        azure-native previews an update with unknown outputs, and then everything that uses the
        address would preview as changed too.
        """
        in_group = {"resource_group_name": self._args.group_name}
        address: pulumi.Output[str]
        if public_ip:
            address = network.get_public_ip_address_output(
                **in_group,
                public_ip_address_name="public-ip",
                opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[public_ip]),
            ).apply(lambda known: _required(known.ip_address))
        else:
            address = network.get_network_interface_output(
                **in_group,
                network_interface_name="nic",
                opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[self.nic]),
            ).apply(lambda known: _required(known.ip_configurations[0].private_ip_address))
        return address


def check_subnet(subnet_id: str, args: NetworkArgs) -> None:
    """Check an existing subnet before anything is created; only reads.

    Raises:
        SettingsError: a machine cannot be in it, or its users could not reach it there.
    """
    found = _read_subnet(subnet_id, args)
    problems = subnet_violations(found, args.settings)
    if problems:
        raise SettingsError([problem_of(each, Settings) for each in problems])
    for warning in subnet_warnings(found, args.settings):
        pulumi.log.warn(warning)


def _required(address: str | None) -> str:
    """The address of a static public IP or a NIC, which Azure assigns when it creates it."""
    if not address:
        raise ValueError("Azure has not given the machine an address; run `pulumi up` again")
    return address


def _read_subnet(subnet_id: str, args: NetworkArgs) -> ExistingSubnet:
    """What Azure reports of the subnet, its network and its security group.

    Raises:
        SettingsError: Azure has no such subnet, or does not show it.
    """
    name = SubnetName.of(subnet_id)
    subscription = authorization.get_client_config().subscription_id
    if name.subscription.lower() != subscription.lower():
        raise _unusable(
            subnet_id,
            f"Azure requires the machine's own subscription, which is {subscription}",
            "use a subnet of this subscription, or deploy to the other one",
        )
    network_names = {"resourceGroupName": name.group, "virtualNetworkName": name.network}
    try:
        subnet = _read("getSubnet", **network_names, subnetName=name.subnet)
        vnet = _read("getVirtualNetwork", **network_names)
    except Exception as error:  # the SDK raises nothing narrower
        missing = "NotFound" in str(error)
        reason = "Azure has no such subnet" if missing else f"Azure does not show it: {error}"
        fix = "compare it with `az network vnet subnet list`" if missing else f"get {RIGHTS}"
        raise _unusable(subnet_id, reason, fix) from error
    own = f"/subscriptions/{subscription}/resourceGroups/{args.group_name}/".lower()
    return ExistingSubnet(subnet, vnet, _read_group(subnet), own)


def _read_group(subnet: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The security group of a subnet; None without one, or if Azure does not show it."""
    reference = subnet.get("networkSecurityGroup")
    if not reference:
        return None
    parts = reference["id"].split("/")
    try:
        return _read(
            "getNetworkSecurityGroup",
            resourceGroupName=parts[4],
            networkSecurityGroupName=parts[-1],
        )
    except Exception as error:  # the SDK raises nothing narrower
        pulumi.log.debug(f"The security group of the subnet: {error}")
        return None


def _read(function: str, **names: str) -> Mapping[str, Any]:
    """What Azure reports of a resource, with the names of its properties in Azure's form."""
    found: Mapping[str, Any] = invoke(f"azure-native:network:{function}", names).value
    return found


def _unusable(subnet_id: str, reason: str, fix: str) -> SettingsError:
    violation = Violation(("network", "subnetId"), subnet_id, reason, fix=fix)
    return SettingsError([problem_of(violation, Settings)])


def _rules(settings: Settings) -> list[network.SecurityRuleArgs]:
    """HTTPS and its redirect for the chat's clients, SSH for the operators, nothing else."""

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

    clients = _without_parts_of_others(settings.allowed_clients)
    web = [] if EVERYONE in clients else clients
    operators = _without_parts_of_others(settings.ssh_clients)
    rules = [
        allow("https", 100, 443, web, "The chat."),
        allow("http", 110, 80, web, "Redirects to HTTPS."),
        allow("ssh", 120, 22, operators, "Pulumi and the operators (setting sshClients)."),
    ]
    if settings.metrics_clients:
        readers = _without_parts_of_others(settings.metrics_clients)
        why = "Prometheus' node exporter (setting metricsClients)."
        rules.append(allow("metrics", 130, METRICS_PORT, readers, why))
    return [*rules, _refuse_others()] if settings.network.subnet_id else rules


def _refuse_others() -> network.SecurityRuleArgs:
    """Azure's default rules would let in every other machine of an existing network."""
    return network.SecurityRuleArgs(
        name="others",
        description="The other machines of the network.",
        priority=4096,
        direction=network.SecurityRuleDirection.INBOUND,
        access=network.SecurityRuleAccess.DENY,
        protocol=network.SecurityRuleProtocol.ASTERISK,
        source_port_range="*",
        source_address_prefix="*",
        destination_address_prefix="*",
        destination_port_range="*",
    )


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
