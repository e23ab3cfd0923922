"""A stack in other people's network: what `pulumi up` does there, and what it never touches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import Stack, names
from tests.engine.test_settings import PROGRAM_FAILED

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
PROVIDER = f"{GROUP}/providers/Microsoft.Network"
COMPANY = f"{PROVIDER}/virtualNetworks/company"
ABROAD = f"{PROVIDER}/virtualNetworks/abroad"
SUBNET = f"{COMPANY}/subnets/chat"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack `local` in a network of its own, next to the network of a company."""
    stack = Stack(tmp_path_factory.mktemp("network") / "emulator")
    stack.run("preview")
    make_company(azure(stack))
    yield stack


def azure(stack: Stack) -> Azure:
    return Azure(Instance.open(stack.home), NullFabric())


def make_company(cloud: Azure) -> None:
    """A virtual network with a security group, and a subnet that the stack may use; others, too."""
    allow = {
        "protocol": "Tcp",
        "access": "Allow",
        "direction": "Inbound",
        "sourcePortRange": "*",
        "sourceAddressPrefix": "*",
        "destinationAddressPrefix": "*",
    }
    rules = [
        {"name": name, "properties": {**allow, "priority": priority, "destinationPortRange": port}}
        for name, priority, port in (("https", 100, "443"), ("http", 110, "80"), ("ssh", 120, "22"))
    ]
    group = f"{PROVIDER}/networkSecurityGroups/company-nsg"
    subnet = {"addressPrefix": "10.5.1.0/24", "networkSecurityGroup": {"id": group}}
    delegation = {"name": "web", "properties": {"serviceName": "Microsoft.Web/serverFarms"}}
    web = {"addressPrefix": "10.5.2.0/24", "delegations": [delegation]}
    closed_group = f"{PROVIDER}/networkSecurityGroups/closed-nsg"
    closed = {"addressPrefix": "10.5.4.0/24", "networkSecurityGroup": {"id": closed_group}}
    properties = {
        "chat": subnet,
        "web": web,
        "other": {"addressPrefix": "10.5.3.0/24"},
        "closed": closed,
    }
    subnets = [{"name": name, "properties": each} for name, each in properties.items()]
    abroad = [{"name": "chat", "properties": {"addressPrefix": "10.89.0.0/25"}}]
    bodies: dict[str, dict[str, Any]] = {
        GROUP: {},
        group: {"properties": {"securityRules": rules}},
        closed_group: {"properties": {"securityRules": []}},
        COMPANY: {
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.5.0.0/16"]},
                "subnets": subnets,
            }
        },
        ABROAD: {
            "location": "westeurope",
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.89.0.0/16"]},
                "subnets": abroad,
            },
        },
    }
    for id_, body in bodies.items():
        cloud.wait(cloud.put(id_, {"location": "francecentral", "tags": {"owner": "it"}, **body}))


def company_bodies(stack: Stack) -> str:
    """Everything that the company has in Azure, byte for byte as Azure stores it."""
    stored = Instance.open(stack.home)
    resources = Azure(stored, NullFabric()).store.read().resources
    return json.dumps({k: v for k, v in resources.items() if k.startswith(GROUP.lower())})


def addresses(stack: Stack) -> dict[str, Any]:
    """The properties of the stack's only network interface."""
    resources = azure(stack).store.read().resources
    (nic,) = (body for key, body in resources.items() if key.endswith("/networkinterfaces/nic"))
    properties: dict[str, Any] = nic["properties"]
    return properties


@pytest.mark.parametrize(
    ("subnet", "reasons"),
    [
        (f"{COMPANY}/subnets/web", ["it is delegated to Microsoft.Web/serverFarms"]),
        (
            f"{COMPANY}/subnets/closed",
            [
                f"DenyAllInBound of its security group closed-nsg keeps {clients} from port {port}"
                for clients, port in (
                    ("0.0.0.0/0 of allowedClients", 443),
                    ("198.51.100.1/32 of sshClients", 22),
                )
            ],
        ),
        (
            f"{ABROAD}/subnets/chat",
            ["its network is in westeurope", "its range 10.89.0.0/25 overlaps 10.89.0.0/24"],
        ),
        (f"{COMPANY}/subnets/missing", ["Azure has no such subnet"]),
        (f"{PROVIDER}/virtualNetworks/missing/subnets/chat", ["Azure has no such subnet"]),
        (
            SUBNET.replace("/subscriptions/0", "/subscriptions/1"),
            ["Azure requires the machine's own subscription"],
        ),
    ],
)
def test_a_subnet_that_does_not_fit_is_refused_at_preview(
    stack: Stack, subnet: str, reasons: list[str]
) -> None:
    before = company_bodies(stack)
    stack.set("network.subnetId", subnet)
    printed = " ".join(stack.run("preview", code=PROGRAM_FAILED).split())
    for reason in reasons:
        assert reason in printed
    assert company_bodies(stack) == before
    stack.forget_settings()


def test_a_stack_in_an_existing_subnet_never_changes_it(stack: Stack) -> None:
    before = company_bodies(stack)
    stack.set("network.subnetId", SUBNET)
    stack.set("publicAddress", "false")
    stack.set("network.outbound", "existing")
    stack.up()
    assert company_bodies(stack) == before
    nic = addresses(stack)
    (configuration,) = nic["ipConfigurations"]
    assert configuration["properties"]["privateIPAddress"] == "10.5.1.4"
    assert nic["networkSecurityGroup"]
    assert stack.outputs()["url"] == "https://10.5.1.4"

    stack.set("tags.team", "research")
    stack.set("allowedClients[0]", "10.5.0.0/16")
    stack.up()
    assert company_bodies(stack) == before
    stack.run("destroy", "--yes")
    assert company_bodies(stack) == before


def disk_of(stack: Stack) -> str:
    """The identity of the data disk, which a new disk would not have."""
    resources = azure(stack).store.read().resources
    (disk,) = (body for key, body in resources.items() if key.endswith("/disks/data"))
    return str(disk["properties"]["uniqueId"])


@pytest.mark.long
def test_an_existing_stack_moves_into_an_existing_subnet(planned: Stack) -> None:
    """The public address and the data disk come along."""
    stack = planned
    make_company(azure(stack))
    before, disk, url = company_bodies(stack), disk_of(stack), stack.outputs()["url"]
    stack.set("network.subnetId", SUBNET)
    steps = stack.preview()
    assert names(steps, "replace") == {"nic", "vm"}
    assert names(steps, "delete") == {"vnet"}
    assert "The machine moves to the virtual network of" in stack.up()
    assert (disk_of(stack), stack.outputs()["url"]) == (disk, url)
    assert addresses(stack)["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.5.1.4"
    assert company_bodies(stack) == before
    stack.run("refresh", "--yes", "--expect-no-changes")
    assert stack.preview() == []
    stack.set("network.subnetId", f"{COMPANY}/subnets/other")
    assert names(stack.preview(), "update") >= {"nic"}
    assert names(stack.preview(), "replace") == set()
    stack.forget_settings()
    assert "The machine moves to a virtual network of the stack's own" in stack.up()
    assert (disk_of(stack), stack.outputs()["url"]) == (disk, url)
    assert company_bodies(stack) == before
    cloud = azure(stack)
    cloud.wait(cloud.delete(GROUP))


@pytest.mark.long
def test_a_private_machine_with_a_nat_gateway(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "emulator")
    stack.set("publicAddress", "false")
    stack.set("network.outbound", "natGateway")
    stack.up()
    assert stack.outputs()["url"] == "https://10.0.0.4"
    assert stack.preview() == []
    stack.run("destroy", "--yes")
