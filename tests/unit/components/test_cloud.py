"""The cloud and machine layers: exactly the resources that the program registers."""

from __future__ import annotations

import base64
import json
import runpy
import signal
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from components.machine import _require_running
from components.network import Network, NetworkArgs
from components.tags import Tags
from ollamazure.settings.groups import NetworkSettings
from ollamazure.settings.load import SECRETS
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.stack import Settings
from tests.tiers import first_of
from tests.unit.components.recorder import Recorder, record

PROJECT = Path(__file__).resolve().parents[3]


def network(ssh_clients: tuple[str, ...] = ("203.0.113.7/32",), **others: Any) -> Any:
    settings = Settings(ssh_clients=ssh_clients, **others)
    return Network("network", NetworkArgs("chat", settings, tags=Tags({"team": "research"})))


CALLS: Mapping[str, Mapping[str, Any]] = {
    "azure-native:network:getPublicIPAddress": {"ipAddress": "203.0.113.99"},
    "azure-native:compute:getVirtualMachine": {"vmId": "0b7c7c1e-0000-4000-8000-000000000001"},
    "azure-native:authorization:getClientConfig": {
        "clientId": "c",
        "objectId": "o",
        "subscriptionId": "00000000-0000-0000-0000-000000000000",
        "tenantId": "t",
    },
    "azure-native:managedidentity:getUserAssignedIdentity": {
        "clientId": "1f0c1f5e-0000-4000-8000-000000000002",
        "principalId": "1f0c1f5e-0000-4000-8000-000000000003",
    },
    "pulumi:pulumi:readStackResourceOutputs": {"outputs": {}},
}


@pytest.fixture(scope="module")
def recorded() -> Recorder:
    return record(network, calls=CALLS)


def test_network_is_exactly_these_resources(recorded: Recorder) -> None:
    assert sorted(resource.type for resource in recorded.resources) == [
        "azure-native:network:NetworkInterface",
        "azure-native:network:NetworkSecurityGroup",
        "azure-native:network:PublicIPAddress",
        "azure-native:network:VirtualNetwork",
        "azure-native:resources:ResourceGroup",
        "ollamazure:index:Network",
    ]
    assert {it.parent for it in recorded.resources if it.custom} == {"network"}


def test_everyone_reaches_https_and_http_and_listed_clients_ssh(recorded: Recorder) -> None:
    rules = recorded.named("nsg").inputs["securityRules"]
    opened = {
        rule["destinationPortRange"]: rule.get("sourceAddressPrefix")
        or rule.get("sourceAddressPrefixes")
        for rule in rules
    }
    assert opened == {"443": "*", "80": "*", "22": ["203.0.113.7/32"]}
    assert {(rule["access"], rule["direction"], rule["protocol"]) for rule in rules} == {
        ("Allow", "Inbound", "Tcp")
    }


@pytest.mark.parametrize(
    ("clients", "prefixes"),
    [
        (("203.0.113.7/32", "203.0.113.7/32", "203.0.113.0/24"), ["203.0.113.0/24"]),
        (("203.0.113.7/32", "0.0.0.0/0", "198.51.100.0/24"), ["0.0.0.0/0"]),
        # Neighbours do not overlap; a deployed rule keeps them and their order.
        (("203.0.113.9/32", "203.0.113.8/32"), ["203.0.113.9/32", "203.0.113.8/32"]),
    ],
)
def test_ranges_for_ssh_that_overlap_are_one_range(
    clients: tuple[str, ...], prefixes: list[str]
) -> None:
    rules = record(lambda: network(clients), calls=CALLS).named("nsg").inputs["securityRules"]
    assert [rule["sourceAddressPrefixes"] for rule in rules if rule["name"] == "ssh"] == [prefixes]


def test_only_allowed_clients_reach_the_chat() -> None:
    clients = ("203.0.113.7/32", "203.0.113.0/24", "10.1.0.0/16")
    recorded = record(lambda: network(allowed_clients=clients), calls=CALLS)
    for rule in recorded.named("nsg").inputs["securityRules"][:2]:
        assert rule["sourceAddressPrefixes"] == ["203.0.113.0/24", "10.1.0.0/16"]
        assert "sourceAddressPrefix" not in rule


def test_metrics_are_open_to_their_clients_only() -> None:
    clients = ("10.0.0.5/32", "10.0.0.0/24")
    [*_, rule] = (
        record(lambda: network(metrics_clients=clients), calls=CALLS)
        .named("nsg")
        .inputs["securityRules"]
    )
    assert (rule["destinationPortRange"], rule["sourceAddressPrefixes"]) == (
        "9100",
        ["10.0.0.0/24"],
    )
    assert (rule["access"], rule["direction"], rule["protocol"]) == ("Allow", "Inbound", "Tcp")


def test_the_machines_own_firewall_admits_the_same_clients() -> None:
    ready = whole_program("dev", allowedClients=["203.0.113.0/24", "10.1.2.3"]).named(
        "machine-ready"
    )
    elements = "allowed_clients { 203.0.113.0/24, 10.1.2.3/32 }"
    assert f"add element inet ollamazure {elements}\n" in ready.inputs["stdin"]


def test_the_subnet_has_the_security_group_and_no_default_outbound_access(
    recorded: Recorder,
) -> None:
    (subnet,) = recorded.named("vnet").inputs["subnets"]
    assert subnet["networkSecurityGroup"] == {"id": "nsg-id"}
    assert subnet["defaultOutboundAccess"] is False


def test_the_public_address_stays_the_same(recorded: Recorder) -> None:
    address = recorded.named("public-ip").inputs
    assert address["sku"] == {"name": "Standard"}
    assert address["publicIPAllocationMethod"] == "Static"
    assert "dnsSettings" not in address


def test_a_dns_label_is_requested_from_azure() -> None:
    recorded = record(lambda: network(dns_label="our-chat"), calls=CALLS)
    assert recorded.named("public-ip").inputs["dnsSettings"] == {"domainNameLabel": "our-chat"}


def test_the_machine_has_the_guides_address(recorded: Recorder) -> None:
    (configuration,) = recorded.named("nic").inputs["ipConfigurations"]
    assert configuration["privateIPAddress"] == "10.0.0.4"
    assert configuration["privateIPAllocationMethod"] == "Static"
    assert configuration["publicIPAddress"] == {"id": "public-ip-id"}


SUBNET_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
    "/providers/Microsoft.Network/virtualNetworks/company/subnets/chat"
)
COMPANY: Mapping[str, Mapping[str, Any]] = {
    **CALLS,
    "azure-native:network:getSubnet": {"name": "chat", "addressPrefix": "10.5.1.0/24"},
    "azure-native:network:getVirtualNetwork": {
        "name": "company",
        "location": "francecentral",
        "addressSpace": {"addressPrefixes": ["10.5.0.0/16"]},
    },
    "azure-native:network:getNetworkInterface": {
        "ipConfigurations": [{"privateIPAddress": "10.5.1.4"}]
    },
}


def test_an_existing_subnet_gets_nothing_but_an_interface() -> None:
    recorded = record(lambda: network(network=NetworkSettings(subnet_id=SUBNET_ID)), calls=COMPANY)
    assert recorded.of("azure-native:network:VirtualNetwork") == []
    nic = recorded.named("nic").inputs
    (configuration,) = nic["ipConfigurations"]
    assert configuration["subnet"] == {"id": SUBNET_ID}
    assert configuration["privateIPAllocationMethod"] == "Dynamic"
    assert "privateIPAddress" not in configuration
    # The rules are on the interface, because the subnet's security group is not the stack's.
    assert nic["networkSecurityGroup"] == {"id": "nsg-id"}
    last = recorded.named("nsg").inputs["securityRules"][-1]
    assert (last["access"], last["priority"], last["destinationPortRange"]) == ("Deny", 4096, "*")
    assert recorded.named("nic").delete_before_replace


@pytest.mark.parametrize(
    ("function", "changes", "reason"),
    [
        ("network:getSubnet", {"delegations": [{"name": "x"}]}, "it is delegated to x"),
        ("authorization:getClientConfig", {"subscriptionId": "another"}, "is another"),
    ],
)
def test_a_subnet_that_does_not_fit_is_refused_before_anything_is_created(
    function: str, changes: Mapping[str, Any], reason: str
) -> None:
    token = f"azure-native:{function}"
    calls = {**COMPANY, token: {**COMPANY[token], **changes}}
    with pytest.raises(SettingsError, match=reason):
        record(lambda: network(network=NetworkSettings(subnet_id=SUBNET_ID)), calls=calls)


def test_a_private_machine_in_a_network_of_its_own_has_a_nat_gateway() -> None:
    recorded = record(
        lambda: network(public_address=False, network=NetworkSettings(outbound="natGateway")),
        calls=COMPANY,
    )
    (subnet,) = recorded.named("vnet").inputs["subnets"]
    assert subnet["natGateway"] == {"id": "nat-gateway-id"}
    assert subnet["defaultOutboundAccess"] is False
    gateway = recorded.named("nat-gateway").inputs
    assert gateway["publicIpAddresses"] == [{"id": "nat-gateway-ip-id"}]
    assert gateway["tags"] == {"team": "research"}
    (configuration,) = recorded.named("nic").inputs["ipConfigurations"]
    assert "publicIPAddress" not in configuration
    addresses = recorded.of("azure-native:network:PublicIPAddress")
    assert [address.name for address in addresses] == ["nat-gateway-ip"]


def key_pair() -> Mapping[str, str]:
    """The outputs of tls.PrivateKey, for a key made here."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return {
        "privateKeyOpenssh": private.decode(),
        "publicKeyOpenssh": f"{public.decode()}\n",
        "privateKeyPem": private.decode(),
    }


def certificate_pem() -> str:
    """Any certificate: the program only needs its fingerprint."""
    body = base64.encodebytes(b"not a certificate, but bytes").decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


OUTPUTS: Mapping[str, Mapping[str, Any]] = {
    "ssh-key": key_pair(),
    "host-key": key_pair(),
    "certificate-key": key_pair(),
    "certificate-authority-key": key_pair(),
    "certificate-authority": {"certPem": certificate_pem()},
    "certificate-request": {"certRequestPem": "a request"},
    "certificate": {"certPem": certificate_pem()},
    "resource-group": {"name": "chat"},
    "data-group": {"name": "chat-data"},
    # An object in Azure's answer, where the inputs have a list.
    **{
        name: {"identity": {"type": "UserAssigned", "userAssignedIdentities": {}}}
        for name in ("vm", "schedule-start", "schedule-stop")
    },
    "admin-password": {"result": "correct-horse-battery-staple"},
    "initial-passwords": {"result": "a-seed-of-passwords"},
    "backup-key": {"result": "a-key-of-backups"},
}


def whole_program(stack: str, **changes: Any) -> Recorder:
    """Everything that __main__.py registers for a stack file with changed settings."""
    settings = yaml.safe_load((PROJECT / f"Pulumi.{stack}.yaml").read_text())["config"]
    settings.setdefault("ollamazure:sshClients", ["192.0.2.1"])
    settings |= {f"ollamazure:{key}": value for key, value in changes.items()}
    ctrl_c = signal.getsignal(signal.SIGINT)
    pulumi.runtime.set_all_config(
        {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in settings.items()
        },
        [f"ollamazure:{key}" for key in SECRETS],
    )
    try:
        return record(
            lambda: runpy.run_path(str(PROJECT / "__main__.py")),
            stack=stack,
            outputs=OUTPUTS,
            calls=CALLS,
        )
    finally:
        signal.signal(signal.SIGINT, ctrl_c)
        pulumi.runtime.set_all_config({})


@pytest.fixture(scope="module")
def program() -> Recorder:
    return whole_program("dev")


def test_the_vm_is_the_guides_with_safe_settings(program: Recorder) -> None:
    vm = program.named("vm").inputs
    assert vm["hardwareProfile"] == {"vmSize": "Standard_B2ms"}
    assert vm["osProfile"]["linuxConfiguration"]["disablePasswordAuthentication"] is True
    assert "adminPassword" not in vm["osProfile"]
    assert vm["osProfile"]["allowExtensionOperations"] is False
    assert vm["securityProfile"]["securityType"] == "TrustedLaunch"
    assert vm["diagnosticsProfile"] == {"bootDiagnostics": {"enabled": True}}
    storage = vm["storageProfile"]
    assert storage["imageReference"]["offer"] == "debian-13"
    assert "name" not in storage["osDisk"]
    assert storage["osDisk"]["deleteOption"] == "Delete"
    assert storage["osDisk"]["caching"] == "None"  # Bv1 has no premium caching
    (disk,) = storage["dataDisks"]
    assert (disk["lun"], disk["createOption"], disk["deleteOption"]) == (0, "Attach", "Detach")


def test_a_gpu_gets_its_driver_first_and_has_no_secure_boot() -> None:
    program = whole_program("gpu")
    uefi = program.named("vm").inputs["securityProfile"]
    assert uefi["securityType"] == "TrustedLaunch"
    assert uefi["uefiSettings"] == {"secureBootEnabled": False, "vTpmEnabled": False}
    first_boot = base64.b64decode(program.named("vm").inputs["osProfile"]["customData"]).decode()
    assert "linux-headers-cloud-amd64" in first_boot
    assert "gpu-driver" in program.named("machine-ready").dependencies
    assert "gpu-driver load\n" in program.named("gpu-driver").inputs["stdin"]
    assert "gpu-driver check\n" in program.named("machine-ready").inputs["stdin"]
    ollama = program.named("ollama").inputs["stdin"]
    assert " gpu\n" in ollama and "DeviceAllow=char-nvidia* rw" in ollama


def test_a_size_without_a_gpu_has_secure_boot_and_no_driver(program: Recorder) -> None:
    uefi = program.named("vm").inputs["securityProfile"]["uefiSettings"]
    assert uefi == {"secureBootEnabled": True, "vTpmEnabled": True}
    assert "gpu-driver" not in [resource.name for resource in program.resources]


def test_the_machine_restarts_for_updates_in_its_window() -> None:
    by_default = whole_program("dev").named("machine-ready").inputs["stdin"]
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri,Sat,Sun *-*-* 04:00:00 UTC\n" in by_default
    assert "/restart.py run 7200\n" in by_default
    assert by_default.endswith("/restart.py on\n")

    window = {"days": ["sunday", "Saturday", "Sunday"], "time": "22:00", "hours": 4}
    changed = whole_program("dev", restartWindow=window).named("machine-ready").inputs["stdin"]
    assert "OnCalendar=Sat,Sun *-*-* 22:00:00 UTC\n" in changed
    assert "/restart.py run 14400\n" in changed


@pytest.mark.parametrize(
    "settings",
    [
        {"restartWindow": {"enabled": False}},
        {"workingHours": {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}},
    ],
)
def test_a_machine_that_does_not_restart_by_itself_has_no_timer(settings: dict[str, Any]) -> None:
    off = whole_program("dev", **settings).named("machine-ready")
    assert "OnCalendar=Mon" not in off.inputs["stdin"]
    assert off.inputs["stdin"].endswith("/restart.py off\n")


def test_everything_in_azure_has_the_tags(program: Recorder) -> None:
    for resource in program.resources:
        if resource.type.startswith("azure-native:"):
            assert resource.inputs["tags"]["project"] == "ollamazure", resource.name
            assert resource.inputs["tags"]["stack"] == "dev", resource.name


def test_the_data_disk_has_a_group_of_its_own(program: Recorder) -> None:
    disk, vm = program.named("data-disk").inputs, program.named("vm").inputs
    assert (disk["resourceGroupName"], vm["resourceGroupName"]) == ("chat-data", "chat")
    assert disk["publicNetworkAccess"] == "Disabled"


def test_an_adopted_disk_is_attached_and_no_other_is_made() -> None:
    kept = (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/kept"
        "/providers/Microsoft.Compute/disks/data"
    )
    program = whole_program("dev", dataDiskId=kept)
    assert program.of("azure-native:compute:Disk") == []
    (disk,) = program.named("vm").inputs["storageProfile"]["dataDisks"]
    assert disk["managedDisk"] == {"id": kept}


def test_each_rotation_replaces_its_secret_and_no_other() -> None:
    """An unset trigger is an empty text: Pulumi ignores one that becomes or was null."""
    rotation = {
        "sshKey": "1",
        "hostKey": "2",
        "adminPassword": "3",
        "initialPasswords": "4",
        "sessionKey": "5",
    }
    before, after = whole_program("dev"), whole_program("dev", rotation=rotation)
    triggers = {"ssh-key": "1", "host-key": "2", "vm": "2"}
    assert {name: before.named(name).replacement_trigger for name in triggers} == dict.fromkeys(
        triggers, ""
    )
    assert {name: after.named(name).replacement_trigger for name in triggers} == triggers
    keepers = {"admin-password": {"rotation": "3"}, "initial-passwords": {"rotation": "4"}}
    assert {name: after.named(name).inputs["keepers"] for name in keepers} == keepers
    assert not [before.named(name) for name in keepers if before.named(name).inputs.get("keepers")]
    assert "/session-key-rotation 0644" not in before.named("open-webui").inputs["stdin"]
    assert (
        "/session-key-rotation 0644 <<'END_OF_FILE'\n5\n"
        in (after.named("open-webui").inputs["stdin"])
    )


def test_the_former_name_of_a_rotation_draws_no_new_password() -> None:
    former = whole_program("dev", adminPasswordRotation="2027-01").named("admin-password")
    present = whole_program("dev", rotation={"adminPassword": "2027-01"}).named("admin-password")
    assert former.inputs["keepers"] == present.inputs["keepers"] == {"rotation": "2027-01"}


def test_a_key_is_retired_after_every_command_that_signs_in_with_it(program: Recorder) -> None:
    """Pulumi deletes a resource before what it depends on itself, not through others."""
    commands = program.of("command:remote:Command")
    assert commands
    for command in [*commands, program.named("chat-answers")]:
        assert {"ssh-key-retirement", "ssh-key-authorized"} <= command.dependencies, command.name
    assert "ssh-key-retirement" in program.named("ssh-key-authorized").dependencies
    for name in ("ssh-key-retirement", "ssh-key-authorized"):
        assert "stdin" in program.named(name).secrets
        assert "stdout" in program.named(name).secret_outputs
        assert program.named(name).deleted_with == "vm"


def test_every_component_is_ours_and_every_resource_is_below_one(program: Recorder) -> None:
    components = {it.name for it in program.resources if not it.custom}
    for resource in program.resources:
        if resource.custom:
            assert resource.parent in components, resource.name
        else:
            assert resource.type.startswith("ollamazure:index:")


@pytest.mark.parametrize("allowed", [False, True])
def test_a_setting_lets_administrators_manage_models_in_the_chat(allowed: bool) -> None:
    program = whole_program("local", features={"modelManagement": allowed})
    refusal = "with the setting features.modelManagement"
    assert (refusal in program.named("nginx-config").inputs["stdin"]) is not allowed


@pytest.mark.parametrize(
    ("changes", "variable", "language"),
    first_of(
        [
            ({"language": "fr"}, "DEFAULT_LOCALE=fr-FR\n", "fr"),
            ({"language": "it-IT"}, "DEFAULT_LOCALE=it-IT\n", "en"),
            ({}, "", "en"),
        ]
    ),
)
def test_open_webui_and_nginx_have_the_stacks_language(
    changes: dict[str, str], variable: str, language: str
) -> None:
    program = whole_program("local", **changes)
    container = program.named("open-webui").inputs["stdin"]
    assert variable in container
    assert ("DEFAULT_LOCALE" in container) is bool(changes)
    assert f'"default": "{language}"' in program.named("nginx-config").inputs["stdin"]


class Shown:
    """A VM as Azure's get function returns it, in one state."""

    def __init__(self, *codes: str) -> None:
        self.statuses = [SimpleNamespace(code=code) for code in codes]
        self.instance_view = self


@pytest.mark.parametrize("state", ["deallocated", "stopped", "deallocating"])
def test_a_vm_that_is_off_ends_an_up_and_not_a_preview(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    shown: Any = Shown("ProvisioningState/succeeded", f"PowerState/{state}")
    with pytest.raises(pulumi.RunError, match=f"The VM is {state}.*start --stack dev.*up` again"):
        _require_running(shown, "chat")
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    assert _require_running(shown, "chat") is shown
    assert "az vm start --resource-group chat --name vm" in warned[0]


@pytest.mark.parametrize("state", ["running", "starting"])
def test_a_vm_that_runs_gets_its_commands(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    shown: Any = Shown(f"PowerState/{state}")
    assert _require_running(shown, "chat") is shown
