"""What should exist on the host is read from ARM bodies only."""

from __future__ import annotations

import base64
from typing import Any

from emulator.host.desired import Desired, DesiredDisk
from emulator.host.nsg import NO_GROUP, rules_of

GROUP = "/subscriptions/s/resourcegroups/rg/providers"
NETWORK = f"{GROUP}/microsoft.network"
COMPUTE = f"{GROUP}/microsoft.compute"


def bodies() -> dict[str, Any]:
    """A deployment as Azure stores it; references keep the caller's spelling of ids."""
    subnet = {"id": f"{NETWORK}/virtualNetworks/vnet/subnets/Default"}
    ip = {
        "privateIPAddress": "10.0.1.4",
        "subnet": subnet,
        "publicIPAddress": {"id": f"{NETWORK}/publicIPAddresses/IP"},
    }
    return {
        f"{NETWORK}/virtualnetworks/vnet": {
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                "subnets": [{"name": "Default", "properties": {"addressPrefix": "10.0.1.0/24"}}],
            }
        },
        f"{NETWORK}/virtualnetworks/vnet/subnets/default": {
            "properties": {"addressPrefix": "10.0.1.0/24"}
        },
        f"{NETWORK}/networksecuritygroups/nsg": {"properties": {"securityRules": []}},
        f"{NETWORK}/publicipaddresses/ip": {"properties": {"ipAddress": "127.20.1.4"}},
        f"{NETWORK}/networkinterfaces/nic": {
            "properties": {"ipConfigurations": [{"name": "ip", "properties": ip}]}
        },
        f"{COMPUTE}/disks/data": {"properties": {"diskSizeGB": 64}},
        f"{COMPUTE}/disks/chat_osdisk": {"properties": {"diskSizeGB": 30, "osType": "Linux"}},
        f"{COMPUTE}/virtualmachines/chat": {"properties": _machine()},
    }


def _machine() -> dict[str, Any]:
    return {
        "vmId": "1-2-3",
        "hardwareProfile": {"vmSize": "Standard_B2ms"},
        "osProfile": {
            "computerName": "chat-host",
            "adminUsername": "ollamazure",
            "customData": base64.b64encode(b"#cloud-config\n").decode(),
            "linuxConfiguration": {"ssh": {"publicKeys": [{"keyData": "ssh-ed25519 AAAA\n"}]}},
        },
        "networkProfile": {"networkInterfaces": [{"id": f"{NETWORK}/networkInterfaces/NIC"}]},
        "storageProfile": {
            "dataDisks": [{"lun": 0, "managedDisk": {"id": f"{COMPUTE}/disks/Data"}}]
        },
    }


def test_a_network_with_its_interface() -> None:
    (network,) = Desired.read(bodies()).networks
    assert (network.prefixes, network.gateways) == (("10.0.0.0/16",), ("10.0.1.1",))
    (interface,) = network.interfaces
    assert (interface.address, interface.prefix_length) == ("10.0.1.4", 24)
    assert (interface.gateway, interface.public_address) == ("10.0.1.1", "127.20.1.4")


def test_guards_are_the_subnets_group_then_the_interfaces() -> None:
    resources = bodies()
    group = {"networkSecurityGroup": {"id": f"{NETWORK}/networkSecurityGroups/NSG"}}
    rules = rules_of(resources[f"{NETWORK}/networksecuritygroups/nsg"])

    def guards() -> tuple[Any, ...]:
        return Desired.read(resources).networks[0].interfaces[0].guards

    assert guards() == (NO_GROUP,)
    subnet = resources[f"{NETWORK}/virtualnetworks/vnet"]["properties"]["subnets"][0]
    subnet["properties"] |= group
    assert guards() == (rules,)
    resources[f"{NETWORK}/networkinterfaces/nic"]["properties"] |= group
    assert guards() == (rules, rules)


def test_os_disks_are_part_of_their_machine() -> None:
    assert Desired.read(bodies()).disks == (DesiredDisk(f"{COMPUTE}/disks/data", 64),)


def test_a_machine() -> None:
    desired = Desired.read(bodies())
    (machine,) = desired.machines
    assert (machine.name, machine.identity, machine.host_name) == ("rg.chat", "1-2-3", "chat-host")
    assert (machine.user, machine.keys) == ("ollamazure", ("ssh-ed25519 AAAA",))
    assert machine.custom_data == b"#cloud-config\n"
    assert machine.disks == ((0, f"{COMPUTE}/disks/data"),)
    assert machine.running
    assert not machine.failed
    assert desired.cable_of(machine) == (desired.networks[0], desired.networks[0].interfaces[0])


def test_a_stopped_machine_is_not_to_run() -> None:
    for code, running in (("running", True), ("stopped", False), ("deallocated", False)):
        resources = bodies()
        resources[f"{COMPUTE}/virtualmachines/chat"]["properties"]["instanceView"] = {
            "statuses": [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{code}"}]
        }
        assert Desired.read(resources).machines[0].running is running


def test_machines_of_one_name_in_two_groups_are_different_machines() -> None:
    resources = bodies()
    machine = f"{COMPUTE}/virtualmachines/chat"
    resources[machine.replace("/rg/", "/other/")] = resources[machine]
    names = {each.name for each in Desired.read(resources).machines}
    assert names == {"rg.chat", "other.chat"}


def test_a_private_interface_reaches_the_internet_only_in_the_ways_of_its_subnet() -> None:
    public = bodies()
    subnet = public[f"{NETWORK}/virtualnetworks/vnet"]["properties"]["subnets"][0]["properties"]
    subnet["defaultOutboundAccess"] = False
    assert outbound(public)
    private = public
    nic = private[f"{NETWORK}/networkinterfaces/nic"]["properties"]
    del nic["ipConfigurations"][0]["properties"]["publicIPAddress"]
    assert not outbound(private)
    subnet["natGateway"] = {"id": f"{NETWORK}/natGateways/gateway"}
    assert outbound(private)
    del subnet["natGateway"], subnet["defaultOutboundAccess"]
    assert outbound(private)


def outbound(resources: dict[str, Any]) -> bool:
    (network,) = Desired.read(resources).networks
    return network.interfaces[0].outbound
