"""`ollamazure preflight` with a stand-in for `az` that answers only what the real one answers.

The argument lists were tried on Azure CLI 2.91 (a wrong one is refused before it asks for a
sign-in); the answers have the shapes its source gives them: quota numbers as text, restricted sizes
only with --all, a DNS answer straight from Azure.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ollamazure import cli
from ollamazure.names import backup_account_name, group_names
from ollamazure.settings import engines
from tests.unit.stand_in import Program

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
REGION = "francecentral"
TAIL = f"--subscription {SUBSCRIPTION} --output json"


def offer(
    name: str, family: str, *, cores: int = 2, restricted: str | None = None
) -> dict[str, Any]:
    """One item of `az vm list-skus`; `restricted` is None, "Location" or "Zone"."""
    restriction = {
        "reasonCode": "NotAvailableForSubscription",
        "restrictionInfo": {
            "locations": [REGION],
            "zones": ["1", "2", "3"] if restricted == "Zone" else None,
        },
        "type": restricted,
        "values": [REGION],
    }
    return {
        "capabilities": [
            {"name": "MaxDataDiskCount", "value": "4"},
            {"name": "vCPUs", "value": str(cores)},
            {"name": "MemoryGB", "value": "8"},
        ],
        "family": family,
        "locationInfo": [{"location": REGION, "zoneDetails": [], "zones": ["1", "2", "3"]}],
        "locations": [REGION],
        "name": name,
        "resourceType": "virtualMachines",
        "restrictions": [restriction] if restricted else [],
        "size": name.removeprefix("Standard_"),
        "tier": "Standard",
    }


def used(counter: str, current: int, limit: int) -> dict[str, Any]:
    """One item of `az vm list-usage`."""
    return {
        "currentValue": str(current),
        "limit": str(limit),
        "localName": f"{counter} vCPUs",
        "name": {"localizedValue": f"{counter} vCPUs", "value": counter},
        "unit": "Count",
    }


class Azure(Program):
    """What the stand-in answers; nothing is wrong until a test changes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "az")
        self.account()
        self.provider("Microsoft.Compute", "Registered")
        self.provider("Microsoft.Network", "Registered")
        self.offers(
            offer("Standard_B2ms", "standardBSFamily"),
            offer("Standard_B2s_v2", "standardBsv2Family"),
            offer("Standard_B2as_v2", "standardBasv2Family"),
        )
        self.usage(
            used("cores", 0, 10),
            used("standardBSFamily", 0, 10),
            used("standardBSv2Family", 0, 10),
            used("standardBasv2Family", 0, 10),
        )
        self.answer(f"vm list {TAIL}", [])
        self.answer(f"network public-ip list {TAIL}", [])

    def account(self, arguments: str = "", state: str = "Enabled") -> None:
        account = {
            "environmentName": "AzureCloud",
            "homeTenantId": "tenant",
            "id": SUBSCRIPTION,
            "isDefault": True,
            "managedByTenants": [],
            "name": "Team",
            "state": state,
            "tenantId": "tenant",
            "user": {"name": "ada@example.com", "type": "user"},
        }
        self.answer(f"account show {arguments} --output json", account)

    def provider(self, namespace: str, state: str) -> None:
        self.answer(
            f"provider show --namespace {namespace} {TAIL}",
            {"namespace": namespace, "registrationState": state},
        )

    def offers(self, *offers: dict[str, Any], region: str = REGION) -> None:
        self.answer(
            f"vm list-skus --location {region} --resource-type virtualMachines --all {TAIL}",
            list(offers),
        )

    def usage(self, *usage: dict[str, Any]) -> None:
        self.answer(f"vm list-usage --location {REGION} {TAIL}", list(usage))

    def label(self, label: str, *, available: bool) -> None:
        path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/locations/{REGION}"
        query = f"domainNameLabel={label}&api-version=2023-09-01"
        self.answer(
            f"rest --method get --url '{path}/CheckDnsNameAvailability?{query}' --output json",
            {"available": available},
        )


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Azure:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
    return Azure(folder)


def preflight(stack: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["preflight", "--stack", stack])
    return result.exit_code, result.output


@pytest.fixture
def look(
    azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs preflight on a stack with these settings: its exit code and what it printed."""

    monkeypatch.setattr(cli, "PROJECT", tmp_path)

    def run(**settings: Any) -> tuple[int, str]:
        config: dict[str, Any] = {"ollamazure:sshClients": ["20.1.2.3/32"]}
        config |= {key.replace("__", ":"): value for key, value in settings.items()}
        config = {key: value for key, value in config.items() if value is not None}
        (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
        azure.install()
        return preflight("dev")

    return run


Look = Callable[..., tuple[int, str]]


def test_all_is_well(look: Look) -> None:
    code, printed = look()

    assert code == 0
    assert "ada@example.com, subscription Team" in printed
    assert "Standard_B2ms is offered in francecentral" in printed
    assert "PROBLEM" not in printed


def test_only_reads(look: Look, azure: Azure) -> None:
    azure.label("our-chat", available=True)
    look(ollamazure__dnsLabel="our-chat")

    asked = [words[:3] for words, _ in azure.calls()]
    verbs = {next(word for word in words[::-1] if not word.startswith("-")) for words in asked}
    assert verbs <= {"show", "list", "list-skus", "list-usage", "get"}


def test_without_az_the_fix_is_to_install_it(look: Look, azure: Azure) -> None:
    azure.install = lambda: None  # type: ignore[method-assign]
    code, printed = look()

    assert code == 1
    assert "the az command is not installed" in printed
    assert "install-azure-cli" in printed


def test_not_signed_in(look: Look, azure: Azure) -> None:
    azure.fail("account show --output json", "Please run 'az login' to setup account.")
    code, printed = look()

    assert code == 1
    assert "-> az login" in printed


def test_a_disabled_subscription(look: Look, azure: Azure) -> None:
    azure.account(state="Disabled")
    code, printed = look()

    assert code == 1
    assert "is Disabled, not Enabled" in printed


def test_checks_the_subscription_that_the_stack_names(look: Look, azure: Azure) -> None:
    azure.account(f"--subscription {SUBSCRIPTION}")
    azure.fail("account show --output json", "the default subscription was asked for")
    code, printed = look(**{"azure-native__subscriptionId": SUBSCRIPTION})

    assert code == 0, printed


@pytest.mark.parametrize("state", ["NotRegistered", "Registering", "Unregistered"])
def test_a_provider_that_is_not_registered(look: Look, azure: Azure, state: str) -> None:
    azure.provider("Microsoft.Network", state)
    code, printed = look()

    assert code == 1
    assert f"Microsoft.Network: {state}" in printed
    assert "-> az provider register --namespace Microsoft.Network --wait" in printed


def test_preflight_makes_az_register_no_provider(look: Look, azure: Azure) -> None:
    """`az` registers a provider by itself when a query needs it."""
    azure.provider("Microsoft.Compute", "NotRegistered")
    azure.provider("Microsoft.Network", "NotRegistered")
    code, printed = look(ollamazure__dnsLabel="our-chat")

    asked = {words[0] for words, _ in azure.calls()}
    assert asked == {"account", "provider"}
    assert code == 1
    assert "size and quota: not checked" in printed
    assert "DNS label: not checked" in printed


def test_a_restricted_size_names_the_offered_ones(look: Look, azure: Azure) -> None:
    azure.offers(
        offer("Standard_B2ms", "standardBSFamily", restricted="Location"),
        offer("Standard_B2s_v2", "standardBsv2Family"),
        offer("Standard_B2as_v2", "standardBasv2Family"),
    )
    code, printed = look()

    assert code == 1
    assert "Standard_B2ms in francecentral is restricted for this subscription" in printed
    assert "-> pulumi config set ollamazure:vmSize Standard_B2s_v2\n" in printed
    assert "-> pulumi config set ollamazure:vmSize Standard_B2as_v2\n" in printed


def test_a_size_that_is_restricted_too_is_not_named(look: Look, azure: Azure) -> None:
    azure.offers(
        offer("Standard_B2s_v2", "standardBsv2Family", restricted="Location"),
        offer("Standard_B2as_v2", "standardBasv2Family"),
    )
    code, printed = look()

    assert code == 1
    assert "Standard_B2ms in francecentral is not offered" in printed
    assert "Standard_B2s_v2" not in printed
    assert "vmSize Standard_B2as_v2" in printed


def test_restricted_zones_do_not_matter(look: Look, azure: Azure) -> None:
    azure.offers(offer("Standard_B2ms", "standardBSFamily", restricted="Zone"))
    code, printed = look()

    assert code == 0, printed


def test_a_region_without_machines(look: Look, azure: Azure) -> None:
    azure.offers(region="brazilsoutheast")
    code, printed = look(ollamazure__location="brazilsoutheast")

    assert code == 1
    assert "Azure offers no machines in brazilsoutheast" in printed
    assert "az account list-locations" in printed


@pytest.mark.parametrize("counter", ["cores", "standardBSFamily"])
def test_a_quota_that_is_used_up(look: Look, azure: Azure, counter: str) -> None:
    counters = {"cores": 0, "standardBSFamily": 0} | {counter: 9}
    azure.usage(*(used(name, current, 10) for name, current in counters.items()))
    code, printed = look()

    assert code == 1
    assert f"needs 2 cores in francecentral; 9 of 10 {counter} vCPUs are used" in printed
    assert "Quotas, Compute, region francecentral" in printed


def test_a_family_without_quota_is_named_with_a_warning(look: Look, azure: Azure) -> None:
    azure.offers(
        offer("Standard_B2ms", "standardBSFamily", restricted="Location"),
        offer("Standard_B2s_v2", "standardBsv2Family"),
    )
    azure.usage(used("cores", 0, 10), used("standardBSv2Family", 0, 0))
    _, printed = look()

    assert "vmSize Standard_B2s_v2  (request quota first)" in printed


def test_the_cores_of_the_stacks_own_machine_count_as_free(look: Look, azure: Azure) -> None:
    azure.usage(used("cores", 10, 10), used("standardBSFamily", 10, 10))
    azure.answer(
        f"vm list {TAIL}",
        [
            {
                "hardwareProfile": {"vmSize": "Standard_B2ms"},
                "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/OLLAMAZURE-DEV"
                "/providers/Microsoft.Compute/virtualMachines/vm",
            }
        ],
    )
    code, printed = look()

    assert code == 0, printed


def test_a_dns_label_that_is_taken(look: Look, azure: Azure) -> None:
    azure.label("our-chat", available=False)
    code, printed = look(ollamazure__dnsLabel="our-chat")

    assert code == 1
    assert "our-chat.francecentral.cloudapp.azure.com is taken" in printed
    assert "-> another one: pulumi config set ollamazure:dnsLabel" in printed


def test_a_dns_label_of_the_stack_itself(look: Look, azure: Azure) -> None:
    azure.label("our-chat", available=False)
    azure.answer(
        f"network public-ip list {TAIL}",
        [
            {
                "dnsSettings": {"fqdn": "our-chat.francecentral.cloudapp.azure.com"},
                "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ollamazure-dev"
                "/providers/Microsoft.Network/publicIPAddresses/public-ip",
            }
        ],
    )
    code, printed = look(ollamazure__dnsLabel="our-chat")

    assert code == 0, printed
    assert "belongs to this stack" in printed


def test_all_problems_at_once(look: Look, azure: Azure) -> None:
    azure.offers(offer("Standard_B2ms", "standardBSFamily", restricted="Location"))
    azure.label("our-chat", available=False)
    azure.account(state="Warned")
    code, printed = look(ollamazure__dnsLabel="our-chat")

    assert code == 1
    assert printed.count("PROBLEM") == 3
    assert "3 problems" in printed


def test_bad_settings_do_not_hide_the_rest(look: Look, azure: Azure) -> None:
    azure.provider("Microsoft.Compute", "NotRegistered")
    code, printed = look(ollamazure__dataDiskGiB="many")

    assert code == 1
    assert "ollamazure:dataDiskGiB" in printed
    assert "az provider register --namespace Microsoft.Compute" in printed


def test_a_model_that_does_not_fit_does_not_hide_the_rest(look: Look, azure: Azure) -> None:
    azure.provider("Microsoft.Compute", "NotRegistered")
    code, printed = look(ollamazure__models=["llama3.1:8b"])

    assert code == 1
    assert "does not fit Standard_B2ms" in printed
    assert "az provider register --namespace Microsoft.Compute" in printed


def test_the_size_that_auto_chooses_is_checked(look: Look, azure: Azure) -> None:
    azure.offers(offer("Standard_B2as_v2", "standardBasv2Family"))
    code, printed = look(ollamazure__vmSize="auto")

    assert code == 0, printed
    assert "Standard_B2as_v2 is offered" in printed


@pytest.mark.parametrize("setting", ["adminPassword", "certificateKey", "users", "backup"])
def test_an_encrypted_setting_is_neither_shown_nor_a_problem(look: Look, setting: str) -> None:
    encrypted = {f"ollamazure__{setting}": {"secure": "v1:abcdefgh:ijklmnop"}}
    code, printed = look(**encrypted)

    assert code == 0, printed
    assert "v1:" not in printed


def test_an_error_of_az_is_printed(look: Look, azure: Azure) -> None:
    azure.fail(
        f"vm list-usage --location {REGION} {TAIL}",
        "(AuthorizationFailed) The client does not have authorization to perform action",
    )
    code, printed = look()

    assert code == 1
    assert "AuthorizationFailed" in printed


def test_a_stack_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "PROJECT", tmp_path)
    code, printed = preflight("prod")

    assert code == 1
    assert "pulumi stack init prod" in printed


@pytest.mark.parametrize("address", ["192.0.2.1/32", "198.51.100.0/25", "203.0.113.7/32"])
def test_an_address_reserved_for_documentation_is_a_problem(look: Look, address: str) -> None:
    code, printed = look(ollamazure__sshClients=["20.1.2.3/32", address])

    assert code == 1
    assert f"PROBLEM  SSH: {address}" in printed
    fix = "pulumi config set --path 'ollamazure:sshClients[1]' '<your address>' --stack dev"
    assert f"-> {fix}" in printed
    assert "My IP address" in printed
    assert "1 problem" in printed


def test_open_ssh_is_no_documentation_address(look: Look) -> None:
    _, printed = look(ollamazure__sshClients=["0.0.0.0/0"])
    assert "ok       SSH: open to 0.0.0.0/0" in printed


def test_without_an_address_the_fix_is_one_command(look: Look, azure: Azure) -> None:
    """As in the shipped stacks, which open SSH to no address."""
    code, printed = look(ollamazure__sshClients=None)

    assert code == 1
    assert "pulumi config set --path 'ollamazure:sshClients[0]'" in printed
    assert "My IP address" in printed
    assert azure.calls(), "the rest is checked"


SUBNET = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/network/providers/Microsoft.Network"
    "/virtualNetworks/company/subnets/chat"
)


def existing_subnet(azure: Azure, *actions: str, **properties: Any) -> dict[str, str]:
    """A subnet in which this account has these rights; the setting that names it."""
    vnet = {
        "location": REGION,
        "properties": {"addressSpace": {"addressPrefixes": ["10.5.0.0/16"]}},
    }
    subnet = {"name": "chat", "properties": {"addressPrefix": "10.5.1.0/24", **properties}}
    rights = {"value": [{"actions": list(actions), "notActions": []}]}
    for path, answer in (
        (f"{SUBNET}?api-version=2024-05-01", subnet),
        (f"{SUBNET.rpartition('/subnets/')[0]}?api-version=2024-05-01", vnet),
        (f"{SUBNET}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01", rights),
    ):
        azure.answer(f"rest --method get --url {path} --output json", answer)
    return {"subnetId": SUBNET}


def test_alerts_need_a_provider_and_a_test_another_one(look: Look, azure: Azure) -> None:
    azure.provider("Microsoft.Insights", "NotRegistered")
    receiver = {"ollamazure__alerts": {"email": ["alice@example.com"]}}
    code, printed = look(**receiver)
    assert code == 1
    assert "az provider register --namespace Microsoft.Insights --wait" in printed
    assert "OperationalInsights" not in printed

    azure.provider("Microsoft.Insights", "Registered")
    azure.provider("Microsoft.OperationalInsights", "Registered")
    tested = {"domain": "chat.example.com", "certificate": {"mode": "letsEncrypt"}}
    code, printed = look(**receiver, **{f"ollamazure__{key}": it for key, it in tested.items()})
    assert code == 0, printed
    assert "resource provider Microsoft.OperationalInsights: Registered" in printed
    assert "AlertsManagement" not in printed

    for namespace in ("Microsoft.AlertsManagement", "Microsoft.Logic"):
        azure.provider(namespace, "NotRegistered")
    azure.provider("Microsoft.ManagedIdentity", "Registered")
    hours = {"ollamazure__workingHours": HOURS}
    code, printed = look(
        **receiver, **hours, **{f"ollamazure__{key}": it for key, it in tested.items()}
    )
    assert "az provider register --namespace Microsoft.AlertsManagement --wait" in printed


ACCOUNT = backup_account_name(SUBSCRIPTION, group_names("ollamazure", "dev"))
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ollamazure-dev-data"


def backups(
    azure: Azure, *actions: str, group: str | None = None, free: bool = True, deployed: bool = False
) -> dict[str, str]:
    """Backups in Azure whose account has, or would have, its name; the setting."""
    azure.provider("Microsoft.Storage", "Registered")
    azure.provider("Microsoft.ManagedIdentity", "Registered")
    azure.answer(f"storage account check-name --name {ACCOUNT} {TAIL}", {"nameAvailable": free})
    there = f"{group}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    accounts = [{"name": ACCOUNT, "id": there}] if group else []
    azure.answer(f"storage account list {TAIL}", accounts)
    azure.answer(f"group list {TAIL}", [{"name": "ollamazure-dev-data"}] if deployed else [])
    scope = GROUP if deployed else f"/subscriptions/{SUBSCRIPTION}"
    query = "providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
    rights = {"value": [{"actions": list(actions), "notActions": []}]}
    azure.answer(f"rest --method get --url '{scope}/{query}' --output json", rights)
    return {"target": "azure"}


@pytest.mark.parametrize("deployed", [False, True])
def test_backups_in_azure(look: Look, azure: Azure, deployed: bool) -> None:
    setting = backups(
        azure, "*", free=not deployed, group=GROUP if deployed else None, deployed=deployed
    )
    code, printed = look(ollamazure__backup=setting)
    assert code == 0, printed
    assert f"{ACCOUNT} {'belongs to this stack' if deployed else 'is free'}" in printed
    assert "this account may give the machine its role" in printed


@pytest.mark.parametrize(
    ("group", "what"),
    [
        (None, "is taken by another subscription"),
        (GROUP.replace("dev-data", "old"), "is in the resource group ollamazure-old"),
    ],
)
def test_an_account_that_is_not_the_stacks(
    look: Look, azure: Azure, group: str | None, what: str
) -> None:
    code, printed = look(ollamazure__backup=backups(azure, "*", group=group, free=False))
    assert code == 1
    assert f"PROBLEM  backups: storage account {ACCOUNT} {what}" in printed


def test_an_account_that_may_give_no_role(look: Look, azure: Azure) -> None:
    code, printed = look(ollamazure__backup=backups(azure, "*/read", "Microsoft.Compute/*"))
    assert code == 1
    assert "lacks the right Microsoft.Authorization/roleAssignments/write" in printed
    assert "--role 'Role Based Access Control Administrator'" in printed


HOURS = {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}


@pytest.mark.parametrize(("action", "allowed"), [("*", True), ("*/read", False)])
def test_working_hours(look: Look, azure: Azure, action: str, allowed: bool) -> None:
    for namespace in ("Microsoft.Logic", "Microsoft.ManagedIdentity"):
        azure.provider(namespace, "Registered")
    azure.answer(f"group list {TAIL}", [{"name": "ollamazure-dev"}])
    query = "providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ollamazure-dev"
    rights = {"value": [{"actions": [action], "notActions": []}]}
    azure.answer(f"rest --method get --url '{scope}/{query}' --output json", rights)
    code, printed = look(ollamazure__workingHours=HOURS)
    assert code == (0 if allowed else 1), printed
    right = "may give the schedule its role" if allowed else "lacks the right Microsoft.Author"
    assert f"working hours: this account {right}" in printed
    assert " a month instead of " in printed


def test_working_hours_need_logic_apps(look: Look, azure: Azure) -> None:
    azure.provider("Microsoft.Logic", "NotRegistered")
    azure.provider("Microsoft.ManagedIdentity", "Registered")
    code, printed = look(ollamazure__workingHours=HOURS)
    assert code == 1
    assert "az provider register --namespace Microsoft.Logic --wait" in printed
    assert "working hours: not checked" in printed


@pytest.mark.parametrize("action", ["*", "microsoft.network/virtualnetworks/subnets/join/action"])
def test_an_existing_subnet(look: Look, azure: Azure, action: str) -> None:
    code, printed = look(ollamazure__network=existing_subnet(azure, "*/read", action))

    assert code == 0, printed
    assert "subnet: chat of company can have the machine" in printed


def test_an_existing_subnet_that_does_not_fit(look: Look, azure: Azure) -> None:
    delegation = {"name": "web", "properties": {"serviceName": "Microsoft.Web/serverFarms"}}
    code, printed = look(ollamazure__network=existing_subnet(azure, "*", delegations=[delegation]))

    assert code == 1
    assert "PROBLEM  subnet: chat of company: it is delegated to Microsoft.Web/serverF" in printed


def test_an_existing_subnet_without_the_right_to_join_it(look: Look, azure: Azure) -> None:
    code, printed = look(ollamazure__network=existing_subnet(azure, "*/read"))

    assert code == 1
    assert "lacks the right Microsoft.Network/virtualNetworks/subnets/join/action" in printed
    assert f"--role 'Virtual Machine Contributor' --scope {SUBNET}" in printed


def test_a_subnet_of_another_subscription(look: Look) -> None:
    other = SUBNET.replace(SUBSCRIPTION, "99999999-2222-3333-4444-555555555555")
    code, printed = look(ollamazure__network={"subnetId": other})

    assert code == 1
    assert "is in another subscription" in printed


# A cluster, and the services beside it


@pytest.fixture
def cluster(
    look: Look, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs preflight on a stack with a cluster; nothing is wrong until a test changes it."""
    monkeypatch.setattr(engines, "CAN_DEPLOY", ("machine", "kubernetes"))
    for namespace in ("ContainerService", "DBforPostgreSQL", "Storage", "ManagedIdentity"):
        azure.provider(f"Microsoft.{namespace}", "Registered")
    redis(azure, "France Central")
    azure.offers(
        offer("Standard_D4as_v5", "standardDASv5Family", cores=4),
        offer("Standard_D8as_v5", "standardDASv5Family", cores=8),
        offer("Standard_NC4as_T4_v3", "standardNCASv3_T4Family", cores=4),
    )
    azure.usage(used("cores", 0, 100), used("standardDASv5Family", 0, 100))
    azure.answer(f"aks list {TAIL}", [])
    versions(azure, "1.33", "1.34")
    servers(azure, "Standard_B1ms", "Standard_D2ds_v5")
    azure.answer(f"group list {TAIL}", [])
    permissions = (
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/permissions"
        "?api-version=2022-04-01"
    )
    azure.answer(
        f"rest --method get --url '{permissions}' --output json",
        {"value": [{"actions": ["*"], "notActions": []}]},
    )
    return lambda **settings: look(ollamazure__engine="kubernetes", **settings)


def redis(azure: Azure, *regions: str) -> None:
    azure.answer(
        f"provider show --namespace Microsoft.Cache {TAIL}",
        {
            "namespace": "Microsoft.Cache",
            "registrationState": "Registered",
            "resourceTypes": [{"resourceType": "redisEnterprise", "locations": list(regions)}],
        },
    )


def versions(azure: Azure, *known: str) -> None:
    azure.answer(
        f"aks get-versions --location {REGION} {TAIL}",
        {"values": [{"version": version, "isPreview": None} for version in known]},
    )


def servers(
    azure: Azure, *sizes: str, zones: str = "Enabled", restricted: str = "Disabled"
) -> None:
    edition = {"name": "Any", "supportedServerSkus": [{"name": size} for size in sizes]}
    azure.answer(
        f"postgres flexible-server list-skus --location {REGION} {TAIL}",
        [
            {
                "restricted": restricted,
                "supportedServerEditions": [edition],
                "zoneRedundantHaSupported": zones,
            }
        ],
    )


def test_all_is_well_with_a_cluster(cluster: Look) -> None:
    code, printed = cluster()

    assert code == 0, printed
    assert "Kubernetes: 1.34 in francecentral is supported" in printed
    # Two nodes of 4 cores and one of 8, and one more of each while they are replaced.
    assert "28 cores for the nodes in francecentral are free" in printed
    assert "database: Standard_B1ms in francecentral is offered" in printed
    assert "cache: Azure Managed Redis in francecentral is offered" in printed


def test_nodes_that_are_too_many_for_a_quota(cluster: Look, azure: Azure) -> None:
    azure.usage(used("cores", 73, 100), used("standardDASv5Family", 0, 27))
    code, printed = cluster()

    assert code == 1
    assert "quota of cores vCPUs: 28 are needed, and 73 of 100 are used by others" in printed
    assert "standardDASv5Family vCPUs: 28 are needed, and 0 of 27 are used by others" in printed
    assert "-> fewer nodes: pulumi config set --path ollamazure:cluster.modelNodes" in printed


def test_the_nodes_of_the_stacks_own_cluster_count_as_free(cluster: Look, azure: Azure) -> None:
    azure.usage(used("cores", 16, 28), used("standardDASv5Family", 16, 28))
    pools = [
        {"vmSize": "Standard_D4as_v5", "count": 2},
        {"vmSize": "Standard_D8as_v5", "count": 1},
    ]
    group = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/ollamazure-dev"
    resource_id = f"{group}/providers/Microsoft.ContainerService/managedClusters/chat"
    azure.answer(f"aks list {TAIL}", [{"id": resource_id, "agentPoolProfiles": pools}])
    code, printed = cluster()

    assert code == 0, printed


def test_spot_nodes_have_a_quota_of_their_own(cluster: Look, azure: Azure) -> None:
    azure.usage(used("cores", 0, 28), used("lowPriorityCores", 0, 4))
    code, printed = cluster(
        ollamazure__cluster={"gpuSize": "Standard_NC4as_T4_v3", "gpuSpot": True}
    )

    assert code == 1
    assert "lowPriorityCores vCPUs: 8 are needed, and 0 of 4 are used by others" in printed
    assert "quota of cores" not in printed


def test_nodes_that_the_region_does_not_offer(cluster: Look, azure: Azure) -> None:
    azure.offers(
        offer("Standard_D4as_v5", "standardDASv5Family", cores=4),
        offer("Standard_D8as_v5", "standardDASv5Family", cores=8, restricted="Location"),
    )
    code, printed = cluster()

    assert code == 1
    assert "Standard_D8as_v5 of the pool models in francecentral is restricted" in printed
    assert "ollamazure:cluster.modelSize '<size>'" in printed


@pytest.mark.parametrize(
    ("change", "problem", "fix"),
    [
        (
            lambda azure: versions(azure, "1.35", "1.36"),
            "1.34 in francecentral is not supported; supported are 1.35, 1.36",
            "ollamazure:cluster.version 1.35",
        ),
        (
            lambda azure: servers(azure, "Standard_D2ds_v5"),
            "database: Standard_B1ms in francecentral is not offered",
            "ollamazure:cluster.databaseSize",
        ),
        (
            lambda azure: servers(azure, "Standard_B1ms", restricted="Enabled"),
            "this subscription gets no servers there",
            "request access",
        ),
        (
            lambda azure: redis(azure, "West Europe"),
            "cache: Azure Managed Redis in francecentral is not offered",
            "another region",
        ),
    ],
    ids=["version", "size of the database", "no database", "no cache"],
)
def test_what_a_region_does_not_have(
    cluster: Look, azure: Azure, change: Callable[[Azure], None], problem: str, fix: str
) -> None:
    change(azure)
    code, printed = cluster()

    assert code == 1
    assert problem in printed
    assert fix in printed


def test_a_standby_needs_a_second_zone(cluster: Look, azure: Azure) -> None:
    servers(azure, "Standard_D2ds_v5", zones="Disabled")
    settings = {"databaseSize": "Standard_D2ds_v5", "databaseStandby": True}
    code, printed = cluster(ollamazure__cluster=settings)

    assert code == 1
    assert "has no second zone for a standby" in printed
    assert "ollamazure:cluster.databaseStandby false" in printed
