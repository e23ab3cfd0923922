"""The real Azure CLI on an emulated Azure in plan mode, and the operator's commands that use it.

`az` is `bin/az-local` here; nothing stands in for Azure's own program.
`python -m tests.engine.test_azure_cli LOG` writes its column of docs/reference/emulator-clients.md
from the server's log of a run.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from typer.testing import CliRunner

from emulator.arm.account import Account
from emulator.arm.sign_in import CLOUD
from emulator.artifacts import azure_cli
from emulator.artifacts.build import Builds
from emulator.azure.fabric import NullFabric
from emulator.azure.faults import Fault, Faults
from emulator.azure.names import MACHINE, ROLE_ASSIGNMENT, SUBSCRIPTION
from emulator.azure.service import Azure
from emulator.host.places import Places, replace_text
from emulator.host.processes import Processes
from emulator.instance import Instance
from ollamazure import cli
from ollamazure.azure.az import AzError, run_az
from ollamazure.azure.state_names import StateNames
from tests.engine import clients
from tests.engine.stack import PROJECT
from tests.unit.emulator.azure.cloud import BODIES, VM

IN_SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION}"
VNET = (
    f"{IN_SUBSCRIPTION}/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/company"
)
# All that preflight looks at, and all that a bootstrap gives roles for.
SETTINGS = {
    "location": "francecentral",
    "sshClients": ["198.18.0.7/32"],
    "dnsLabel": "our-team-chat",
    "network": {"subnetId": f"{VNET}/subnets/chat"},
    "backup": {"target": "azure"},
    "alerts": {"email": ["team@example.com"]},
    "workingHours": {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"},
}
NAMES = StateNames(SUBSCRIPTION, "dev", "francecentral")
BOOTSTRAP = ("bootstrap", "--stack", "dev", "--yes")
REPOSITORY = ("--repository", "team/chat", "--subject-prefix", "repo:team/chat")


@pytest.fixture(scope="module")
def az_program() -> Path:
    """The Azure CLI for the emulated Azure that OLLAMAZURE_EMULATOR names; it is installed."""
    Builds().make([azure_cli.ARTIFACT])
    return PROJECT / "bin" / "az-local"


@dataclass(frozen=True)
class Operator:
    """An operator at a terminal with `az` and `ollamazure`, who has a stack `dev`."""

    instance: Instance
    folder: Path
    environment: Mapping[str, str]

    def az(self, *arguments: str) -> Any:
        """What `az` prints; raises AzError."""
        with mock.patch.dict(os.environ, self.environment, clear=True):
            return run_az(*arguments)

    def ollamazure(self, *arguments: str, code: int = 0) -> str:
        """What a command prints; raises AssertionError if it ends with another exit code."""
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(cli, "PROJECT", self.folder),
        ):
            result = CliRunner().invoke(cli.app, list(arguments))
        assert result.exit_code == code, result.output
        return result.output

    def done(self) -> clients.Operations:
        """What all commands together have asked of Azure, and got."""
        log = Processes(Places(self.instance)).log("arm").read_text()
        return clients.operations_of(clients.read_log(log))

    def states(self, printed: str) -> list[str]:
        """What a bootstrap does with each of its steps: exists, change or create."""
        return re.findall(r"^(exists|change|create)  ", printed, re.MULTILINE)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory, az_program: Path) -> Iterator[Operator]:
    """An operator of a new emulated Azure with a network of a company."""
    folder = tmp_path_factory.mktemp("azure-cli")
    (folder / "bin").mkdir()
    (folder / "bin" / "az").symlink_to(az_program)
    stack = {"config": {f"ollamazure:{name}": value for name, value in SETTINGS.items()}}
    (folder / "Pulumi.dev.yaml").write_text(yaml.safe_dump(stack))
    instance = Instance.open(folder / "emulator")
    _put_a_hyphen_before_the_password(Account(instance))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ARM_")}
    environment = {
        **kept,
        "OLLAMAZURE_EMULATOR": str(instance.home),
        "OLLAMAZURE_PLAN": "1",
        "PATH": f"{folder / 'bin'}:{kept['PATH']}",
    }
    try:
        operator = Operator(instance, folder, environment)
        _make_network(operator)
        yield operator
    finally:
        Processes(Places(instance)).stop("arm")
        instance.release()


def _put_a_hyphen_before_the_password(account: Account) -> None:
    """As one in 64 random passwords does, which the CLI may take for an option."""
    account.prepare()
    secret = replace(account.credentials, clientSecret="-" + account.credentials.clientSecret)
    replace_text(account.credentials_file, json.dumps(asdict(secret)))


def _make_network(operator: Operator) -> None:
    """The network of a company, with a subnet for the machine."""
    here = ("--resource-group", "network")
    group = ("--network-security-group", "chat")
    operator.az("group", "create", "--name", "network", "--location", NAMES.location)
    operator.az("network", "nsg", "create", "--name", "chat", *here)
    operator.az(
        *("network", "nsg", "rule", "create", "--name", "open", "--nsg-name", "chat", *here),
        *("--priority", "100", "--protocol", "Tcp", "--access", "Allow"),
        *("--destination-port-ranges", "22", "80", "443"),
    )
    prefixes = ("--address-prefixes", "10.0.0.0/16")
    operator.az("network", "vnet", "create", "--name", "company", *prefixes, *here)
    prefixes = ("--address-prefixes", "10.0.1.0/24")
    subnet = ("--name", "chat", "--vnet-name", "company", *prefixes, *group)
    operator.az("network", "vnet", "subnet", "create", *subnet, *here)


def test_every_address_of_the_cloud_is_the_emulated_azures_or_nobodys(operator: Operator) -> None:
    shown = operator.az("cloud", "show")
    assert shown["name"] == CLOUD and shown["isActive"]
    for address in (*shown["endpoints"].values(), *shown["suffixes"].values()):
        here = str(address).startswith("https://127.0.0.1:")
        assert address is None or here or "emulated-azure.invalid" in address, address


def test_preflight_is_ready(operator: Operator) -> None:
    printed = operator.ollamazure("preflight", "--stack", "dev")
    assert "Ready for `pulumi up`." in printed, printed
    for topic in ("size", "quota", "DNS label", "subnet", "backups", "working hours"):
        assert f"ok       {topic}: " in printed, printed


def test_a_bootstrap_is_run_again_and_again(operator: Operator) -> None:
    """Cut off, completed, run again, torn down and run again with the vault of before."""
    for group in NAMES.deployed_groups:
        operator.az("group", "create", "--name", group, "--location", NAMES.location)
    # Azure does not know a principal for some minutes after it was made.
    faults = Faults(operator.instance.home / "azure")
    faults.add(Fault(ROLE_ASSIGNMENT, code="PrincipalNotFound", times=1))
    printed = operator.ollamazure(*BOOTSTRAP, *REPOSITORY, code=1)
    assert "PrincipalNotFound" in printed and "replication delay" in printed, printed
    steps = operator.states(printed)
    assert set(steps) == {"create"}

    printed = operator.ollamazure(*BOOTSTRAP, *REPOSITORY)
    assert {"exists", "create"} == set(operator.states(printed)), printed
    conditions = [
        one["condition"] or ""
        for one in operator.az("role", "assignment", "list", "--all")
        if one["roleDefinitionName"] == "Role Based Access Control Administrator"
    ]
    assert len(conditions) == 2 and all("GuidEquals" in each for each in conditions)

    printed = operator.ollamazure(*BOOTSTRAP, *REPOSITORY)
    assert operator.states(printed) == ["exists"] * len(steps), printed
    version = _key_version(operator)

    operator.az(
        *("storage", "account", "update", "--name", NAMES.account, "-g", NAMES.group),
        *("--https-only", "false", "--min-tls-version", "TLS1_0"),
    )
    printed = operator.ollamazure(*BOOTSTRAP, *REPOSITORY)
    assert operator.states(printed).count("change") == 1, printed

    operator.az("group", "delete", "--name", NAMES.deployed_groups.chat, "--yes")
    operator.ollamazure(*BOOTSTRAP, "--teardown")
    assert [one["name"] for one in operator.az("keyvault", "list-deleted")] == [NAMES.vault]
    assert operator.az("role", "assignment", "list", "--all") == []
    assert not any(one["name"] == NAMES.group for one in operator.az("group", "list"))

    printed = operator.ollamazure(*BOOTSTRAP, *REPOSITORY)
    assert f"create  key vault {NAMES.vault}, restored from the deleted ones" in printed, printed
    assert operator.az("keyvault", "list-deleted") == []
    assert _key_version(operator) == version, "secrets of before could not be decrypted"


def _key_version(operator: Operator) -> str:
    url = f"{NAMES.key_scope}?api-version=2023-07-01"
    found = operator.az("rest", "--method", "get", "--url", url)
    return str(found["properties"]["keyUriWithVersion"])


def test_what_is_deployed_is_listed_changed_and_deleted(operator: Operator) -> None:
    azure = Azure(operator.instance, NullFabric())
    for resource_id, body in BODIES.items():
        azure.wait(azure.put(resource_id, body))
    here = ("--resource-group", "chat")
    machine = (*here, "--name", "vm")
    assert [one["name"] for one in operator.az("vm", "list")] == ["vm"]
    rules = operator.az("network", "nsg", "rule", "list", "--nsg-name", "nsg", *here)
    assert [one["name"] for one in rules] == ["https"]
    assert len(operator.az("disk", "list", *here)) == 2
    operator.az("vm", "restart", *machine)
    operator.az("vm", "deallocate", *machine)
    assert operator.az("vm", "show", "--show-details", *machine)["powerState"] == "VM deallocated"
    operator.az("vm", "start", *machine)
    view = operator.az("vm", "get-instance-view", *machine)["instanceView"]
    assert view["statuses"][-1]["code"] == "PowerState/running"
    script = ("--command-id", "RunShellScript", "--scripts", "id")
    with pytest.raises(AzError, match=r"OperationNotAllowed.*extension operations are disallowed"):
        operator.az("vm", "run-command", "invoke", *machine, *script)
    tags = ("--operation", "merge", "--tags", "seen=yes")
    operator.az("tag", "update", "--resource-id", VM, *tags)
    types = {one["type"]: one["tags"] for one in operator.az("resource", "list", *here)}
    assert types[MACHINE]["seen"] == "yes"
    operator.az("group", "delete", "--name", "chat", "--yes")
    assert "chat" not in {one["name"] for one in operator.az("group", "list")}


def test_the_secret_of_the_sign_in_is_in_no_readable_place(operator: Operator) -> None:
    """The CLI keeps it in its own folder, which only its owner can open."""
    credentials = json.loads((operator.instance.home / "arm" / "credentials.json").read_text())
    secret = credentials["clientSecret"].encode()
    holders = {
        file.relative_to(operator.instance.home).parts[0]
        for file in operator.instance.home.rglob("*")
        if file.is_file() and secret in file.read_bytes()
    }
    assert holders == {"arm", "azure-cli"}
    assert (operator.instance.home / "azure-cli").stat().st_mode & 0o077 == 0


def test_the_page_has_what_the_cli_has_done(operator: Operator) -> None:
    """All tests above are in `make test`; those below would add more."""
    clients.check(clients.CLI, operator.done())


@pytest.mark.long
def test_preflight_names_a_provider_that_is_not_registered(operator: Operator) -> None:
    operator.az("provider", "unregister", "--namespace", "Microsoft.Storage")
    printed = operator.ollamazure("preflight", "--stack", "dev", code=1)
    assert "resource provider Microsoft.Storage: NotRegistered" in printed, printed
    operator.az("provider", "register", "--namespace", "Microsoft.Storage")


@pytest.mark.long
def test_azures_refusals_reach_the_person_at_the_terminal(operator: Operator) -> None:
    """A role that exists is none: `az` reports the existing assignment."""
    here = ("--resource-group", "refusals", "--location", NAMES.location)
    operator.az("group", "create", "--name", "refusals", "--location", NAMES.location)
    operator.az("keyvault", "create", "--name", "refusals-vault", *here)
    for command, refusal in (
        (("keyvault", "create", "--name", "refusals--vault", *here), "VaultNameNotValid"),
        (
            (
                "keyvault",
                "update",
                "--name",
                "refusals-vault",
                "--enable-purge-protection",
                "false",
            ),
            'The property "enablePurgeProtection" cannot be set to false.',
        ),
        (("group", "delete", "--name", "nowhere", "--yes"), "ResourceGroupNotFound"),
    ):
        with pytest.raises(AzError, match=re.escape(refusal)):
            operator.az(*command)

    identity = operator.az("identity", "create", "--name", "chat", *here)
    role = ("--role", "Reader", "--scope", f"{IN_SUBSCRIPTION}/resourceGroups/refusals")
    who = ("--assignee-object-id", identity["principalId"])
    typed = (*who, "--assignee-principal-type", "ServicePrincipal")
    made = [operator.az("role", "assignment", "create", *role, *typed)["id"] for _ in range(2)]
    assert made[0] == made[1]
    operator.az("keyvault", "delete", "--name", "refusals-vault")
    with pytest.raises(AzError, match="ConflictError"):
        operator.az("keyvault", "create", "--name", "refusals-vault", *here)
    operator.az("keyvault", "purge", "--name", "refusals-vault")
    operator.az("keyvault", "create", "--name", "refusals-vault", *here)


def main() -> None:
    """Write the column of the Azure CLI from what the last run of the tests has asked."""
    log = Path(sys.argv[1]).read_text()
    clients.write(clients.CLI, clients.operations_of(clients.read_log(log)))


if __name__ == "__main__":
    main()
