"""`ollamazure bootstrap` with stand-ins for `az` and `gh` that answer what the real ones do.

Every argument list was read by the parser of Azure CLI 2.91, which refuses a wrong one before it
needs a sign-in; the answers have the shapes of Azure's own.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ollamazure import cli
from ollamazure.azure.bootstrap_steps import may_assign
from ollamazure.azure.state_names import StateNames
from ollamazure.names import BLOB_DATA_CONTRIBUTOR, POWER_ON_OFF
from tests.unit.stand_in import Program

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
NAMES = StateNames(SUBSCRIPTION, "dev", "francecentral")
GROUP = "ollamazure-dev-state"
HERE = f"--resource-group {GROUP}"
ON = f"--subscription {SUBSCRIPTION} --output json"
NUMBERED = "repo:team@4711/chat@815"
DEPLOY, PREVIEW = "ollamazure-dev-deploy", "ollamazure-dev-preview"
DEPLOYED = ("ollamazure-dev", "ollamazure-dev-data")


VNET = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/network/providers/Microsoft.Network"
    "/virtualNetworks/company"
)
RIGHTS_ON_THE_SUBNET = [
    ("principal-0", "Reader", VNET),
    ("principal-0", "Virtual Machine Contributor", f"{VNET}/subnets/chat"),
    ("principal-1", "Reader", VNET),
]


class Azure(Program):
    """A subscription in which nothing of the stack exists, until a test changes that."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "az")
        account = {
            "id": SUBSCRIPTION,
            "name": "Team",
            "tenantId": "tenant",
            "user": {"name": "ada@example.com", "type": "user"},
        }
        self.answer("account show --output json", account)
        self.answer(f"account show {ON}", account)
        self.answer("ad signed-in-user show --output json", {"id": "ada"})
        self.has(groups=())
        self.answer(f"keyvault list-deleted --resource-type vault {ON}", [])
        self.answer(f"role assignment list --all --fill-principal-name false {ON}", [])
        for number, name in enumerate((DEPLOY, PREVIEW)):
            shown = {"principalId": f"principal-{number}", "clientId": f"client-{number}"}
            self.answer(f"identity show --name {name} {HERE} {ON}", {"name": name} | shown)
        self.accept_changes()

    def has(self, *, groups: tuple[str, ...]) -> None:
        self.answer(f"group list {ON}", [{"name": name} for name in groups])

    def has_everything(self, *groups: str, subject: str = NUMBERED) -> None:
        """All that a first run creates, and these groups."""
        self.has(groups=(GROUP, *groups))
        self.has_storage()
        container = f"storage container-rm list --storage-account {NAMES.account} {HERE} {ON}"
        self.answer(container, [{"name": "state"}])
        self.has_vault()
        keys = f"rest --method get --url {NAMES.keys}?api-version=2023-07-01 --output json"
        self.answer(keys, {"value": [{"name": "state"}]})
        identities = [
            {"name": DEPLOY, "principalId": "principal-0"},
            {"name": PREVIEW, "principalId": "principal-1"},
        ]
        self.answer(f"identity list {HERE} {ON}", identities)
        for name, environments in (
            (DEPLOY, ("dev",)),
            (PREVIEW, ("dev-preview", "dev-drift")),
        ):
            self.answer(
                f"identity federated-credential list --identity-name {name} {HERE} {ON}",
                [
                    {
                        "name": one,
                        "subject": f"{subject}:environment:{one}",
                        "issuer": "https://token.actions.githubusercontent.com",
                        "audiences": ["api://AzureADTokenExchange"],
                    }
                    for one in environments
                ],
            )

    def has_storage(self, *, kept: bool = True, **changed: Any) -> None:
        """The account; what someone `changed`, and whether its blobs are kept."""
        account = {
            "name": NAMES.account,
            "enableHttpsTrafficOnly": True,
            "minimumTlsVersion": "TLS1_2",
            "allowBlobPublicAccess": False,
            "allowSharedKeyAccess": False,
        }
        self.answer(f"storage account list {HERE} {ON}", [account | changed])
        # Azure's own defaults, until they are set.
        blobs = {
            "isVersioningEnabled": kept or None,
            "deleteRetentionPolicy": {"enabled": kept, "days": 30 if kept else None},
        }
        show = f"--account-name {NAMES.account} {HERE} {ON}"
        self.answer(f"storage account blob-service-properties show {show}", blobs)

    def has_vault(self, **changed: Any) -> None:
        self.answer(f"keyvault list {HERE} {ON}", [{"name": NAMES.vault}])
        properties = {"enableRbacAuthorization": True, "enablePurgeProtection": True} | changed
        shown = {"name": NAMES.vault, "properties": properties}
        self.answer(f"keyvault show --name {NAMES.vault} {HERE} {ON}", shown)

    def has_rights(self, *rights: tuple[str, str, str]) -> None:
        self.answer(
            f"role assignment list --all --fill-principal-name false {ON}",
            [
                {
                    "id": f"/assignments/{number}",
                    "principalId": principal,
                    "roleDefinitionName": role,
                    # Azure does not keep the case of a scope.
                    "scope": scope.replace("resourceGroups", "resourcegroups"),
                }
                for number, (principal, role, scope) in enumerate(rights)
            ],
        )

    def accept_changes(self) -> None:
        """The commands that change something, with their exact arguments."""
        labels = "--tags project=ollamazure stack=dev"
        new = f"{HERE} --location francecentral {labels}"
        account, vault = NAMES.account, NAMES.vault
        settings = (
            "--https-only true --min-tls-version TLS1_2 --allow-blob-public-access false "
            "--allow-shared-key-access false"
        )
        protected = "--enable-rbac-authorization true --enable-purge-protection true"
        key = {"properties": {"kty": "RSA", "keySize": 3072, "keyOps": ["encrypt", "decrypt"]}}
        commands = [
            f"group create --name {GROUP} --location francecentral {labels}",
            f"storage account create --name {account} {settings} --kind StorageV2 "
            f"--sku Standard_LRS {new}",
            f"storage account update --name {account} {settings} {HERE}",
            "storage account blob-service-properties update --enable-versioning true "
            "--enable-delete-retention true --delete-retention-days 30 "
            f"--account-name {account} {HERE}",
            f"storage container-rm create --name state --storage-account {account} {HERE}",
            f"keyvault create --name {vault} {protected} --retention-days 90 {new}",
            f"keyvault update --name {vault} {protected} {HERE}",
            f"keyvault recover --name {vault}",
            f"identity create --name {DEPLOY} {new}",
            f"identity create --name {PREVIEW} {new}",
            *(f"role assignment delete --ids /assignments/{number}" for number in range(9)),
            f"group delete --name {GROUP} --yes",
        ]
        for identity, environment in (
            (DEPLOY, "dev"),
            (PREVIEW, "dev-preview"),
            (PREVIEW, "dev-drift"),
        ):
            for prefix in (NUMBERED, "repo:team/chat"):
                commands.append(
                    "identity federated-credential create "
                    "--issuer https://token.actions.githubusercontent.com "
                    f"--audiences api://AzureADTokenExchange --identity-name {identity} {HERE} "
                    f"--name {environment} --subject {prefix}:environment:{environment}"
                )
        for principal, role, scope in (*all_rights(*DEPLOYED), *RIGHTS_ON_THE_SUBNET):
            kind = "User" if principal == "ada" else "ServicePrincipal"
            commands.append(
                f"role assignment create --role '{role}' --scope {scope} "
                f"--assignee-object-id {principal} --assignee-principal-type {kind}"
            )
        for command in commands:
            self.answer(f"{command} {ON}", None if " delete " in command else {})
        self.answer(
            f"rest --method put --url {NAMES.key_scope}?api-version=2023-07-01 "
            f"--body {shlex.quote(json.dumps(key))} --output json",
            {},
        )

    def made(self) -> list[str]:
        """The commands that changed something, in their order."""
        return [
            asked.partition(" --subscription")[0]
            for asked in self.asked()
            if {"create", "update", "recover", "delete", "put"} & set(shlex.split(asked)[:5])
        ]


def all_rights(*groups: str) -> list[tuple[str, str, str]]:
    """Every role, as in the table of docs/how-to/bootstrap-azure.md."""
    container, key = NAMES.container_scope, NAMES.key_scope
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups"
    return [
        ("principal-0", "Storage Blob Data Contributor", container),
        ("principal-0", "Key Vault Crypto User", key),
        *(("principal-0", "Contributor", f"{group}/{name}") for name in groups),
        ("principal-1", "Storage Blob Data Reader", container),
        ("principal-1", "Key Vault Crypto User", key),
        *(("principal-1", "Reader", f"{group}/{name}") for name in groups),
        ("ada", "Storage Blob Data Contributor", container),
        ("ada", "Key Vault Crypto User", key),
    ]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
    return folder


@pytest.fixture
def azure(programs: Path) -> Azure:
    return Azure(programs)


@pytest.fixture
def github(programs: Path) -> Program:
    github = Program(programs, "gh")
    github.answer(
        "api repos/team/chat/actions/oidc/customization/sub",
        {"use_default": True, "use_immutable_subject": True, "sub_claim_prefix": NUMBERED},
    )
    return github


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(azure: Azure, github: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on a stack: its exit code and what it printed."""
    monkeypatch.setattr(cli, "PROJECT", tmp_path)
    settings = {
        "ollamazure:location": "francecentral",
        "ollamazure:sshClients": ["203.0.113.7/32"],
    }
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": settings}))

    def run(*options: str) -> tuple[int, str]:
        azure.install()
        github.install()
        result = CliRunner().invoke(cli.app, ["bootstrap", "--stack", "dev", *options])
        return result.exit_code, result.output

    return run


@pytest.fixture
def bootstrapped(run: Run) -> Run:
    return lambda *more: run("--repository", "team/chat", "--yes", *more)


def test_a_first_run_creates_everything_in_order(bootstrapped: Run, azure: Azure) -> None:
    code, printed = bootstrapped()

    assert code == 0, printed
    made = [" ".join(command.split()[:3]) for command in azure.made()]
    assert made == [
        "group create --name",
        "storage account create",
        "storage account blob-service-properties",
        "storage container-rm create",
        "keyvault create --name",
        "rest --method put",
        "identity create --name",
        "identity federated-credential create",
        *["role assignment create"] * 2,
        "identity create --name",
        *["identity federated-credential create"] * 2,
        *["role assignment create"] * 2,
        *["role assignment create"] * 2,
    ]


def test_the_second_run_changes_nothing(bootstrapped: Run, azure: Azure) -> None:
    azure.has_everything()
    azure.has_rights(*all_rights())
    code, printed = bootstrapped()

    assert code == 0, printed
    assert azure.made() == []
    assert "create " not in printed and "change " not in printed


@pytest.mark.long
def test_after_the_first_deployment_the_identities_get_its_groups(
    bootstrapped: Run, azure: Azure
) -> None:
    azure.has_everything(*DEPLOYED)
    azure.has_rights(*all_rights())
    code, printed = bootstrapped()

    assert code == 0, printed
    given = {
        (words[words.index("--assignee-object-id") + 1], words[4], words[6].rpartition("/")[2])
        for words in map(shlex.split, azure.made())
    }
    assert given == {
        ("principal-0", "Contributor", "ollamazure-dev"),
        ("principal-0", "Contributor", "ollamazure-dev-data"),
        ("principal-1", "Reader", "ollamazure-dev"),
        ("principal-1", "Reader", "ollamazure-dev-data"),
    }
    assert "Make the first deployment yourself" not in printed


@pytest.mark.long
def test_each_role_is_on_one_thing_of_the_stack(bootstrapped: Run, azure: Azure) -> None:
    azure.has(groups=(*DEPLOYED, "another-team"))
    bootstrapped()
    scopes = {
        shlex.split(command)[6] for command in azure.made() if command.startswith("role assignment")
    }

    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups"
    assert scopes == {
        NAMES.container_scope,
        NAMES.key_scope,
        *(f"{group}/{name}" for name in DEPLOYED),
    }


@pytest.mark.long
def test_a_run_completes_what_a_killed_one_left(bootstrapped: Run, azure: Azure) -> None:
    azure.has_everything()
    azure.has_rights(*all_rights()[:-3])
    code, printed = bootstrapped()

    assert code == 0, printed
    assert len(azure.made()) == 3


def test_what_an_interrupted_run_or_a_person_left_otherwise_is_set(
    bootstrapped: Run, azure: Azure
) -> None:
    azure.has_everything()
    azure.has_rights(*all_rights())
    azure.has_storage(kept=False, allowSharedKeyAccess=None, minimumTlsVersion="TLS1_0")
    azure.has_vault(enablePurgeProtection=None)
    code, printed = bootstrapped()

    assert code == 0, printed
    assert [" ".join(command.split()[:3]) for command in azure.made()] == [
        "storage account update",
        "storage account blob-service-properties",
        "keyvault update --name",
    ]
    assert printed.count("change  ") == 3
    assert f"changing storage account {NAMES.account}: nothing public" in printed


@pytest.mark.long
def test_another_issuer_is_not_githubs(bootstrapped: Run, azure: Azure) -> None:
    azure.has_everything()
    azure.has_rights(*all_rights())
    other = {
        "name": "dev",
        "subject": f"{NUMBERED}:environment:dev",
        "issuer": "https://tokens.elsewhere.example",
        "audiences": ["api://AzureADTokenExchange"],
    }
    listed = f"identity federated-credential list --identity-name {DEPLOY} {HERE} {ON}"
    azure.answer(listed, [other])
    code, printed = bootstrapped()

    assert code == 0, printed
    (made,) = azure.made()
    assert made.startswith("identity federated-credential create")


@pytest.mark.long
def test_a_repository_that_now_has_numbers_gets_its_new_subject(
    bootstrapped: Run, azure: Azure
) -> None:
    azure.has_everything(subject="repo:team/chat")
    azure.has_rights(*all_rights())
    code, printed = bootstrapped()

    assert code == 0, printed
    assert len(azure.made()) == 3
    assert all(f"--subject {NUMBERED}:environment:" in command for command in azure.made())


@pytest.mark.long
def test_an_older_repository_has_no_numbers(bootstrapped: Run, github: Program) -> None:
    github.answer("api repos/team/chat/actions/oidc/customization/sub", {"use_default": True})
    code, printed = bootstrapped()

    assert code == 0, printed
    assert "GitHub signs in to it as repo:team/chat:environment:dev\n" in printed


@pytest.mark.long
def test_a_repository_with_a_form_of_its_own_is_not_guessed(
    bootstrapped: Run, github: Program, azure: Azure
) -> None:
    github.answer(
        "api repos/team/chat/actions/oidc/customization/sub",
        {"use_default": False, "include_claim_keys": ["actor"]},
    )
    code, printed = bootstrapped()

    assert code == 1
    assert "--subject-prefix" in printed
    assert azure.made() == []


@pytest.mark.long
def test_without_gh_the_subject_can_be_given(
    bootstrapped: Run, github: Program, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "install", lambda: None)
    code, printed = bootstrapped()
    assert code == 1
    assert "gh command is not installed" in printed

    code, printed = bootstrapped("--subject-prefix", NUMBERED)
    assert code == 0, printed


@pytest.mark.long
def test_a_deleted_vault_comes_back(bootstrapped: Run, azure: Azure) -> None:
    azure.answer(f"keyvault list-deleted --resource-type vault {ON}", [{"name": NAMES.vault}])
    code, printed = bootstrapped()

    assert code == 0, printed
    assert f"keyvault recover --name {NAMES.vault}" in azure.made()
    assert not any(command.startswith("keyvault create") for command in azure.made())


def test_nothing_is_created_without_a_yes(run: Run, azure: Azure) -> None:
    code, printed = run("--repository", "team/chat")

    assert code == 1
    assert "create  storage account" in printed, "printed all the same"
    assert "--yes" in printed
    assert azure.made() == []


@pytest.mark.long
def test_a_service_principal_gets_no_roles_of_a_person(bootstrapped: Run, azure: Azure) -> None:
    account = {"id": SUBSCRIPTION, "name": "Team", "tenantId": "tenant"}
    user = {"user": {"name": "app", "type": "servicePrincipal"}}
    azure.answer(f"account show {ON}", account | user)
    code, printed = bootstrapped()

    assert code == 0, printed
    assert "you may" not in printed


@pytest.mark.long
def test_the_next_steps_are_printed(bootstrapped: Run) -> None:
    _, printed = bootstrapped()

    assert "gh variable set AZURE_CLIENT_ID --repo team/chat --env dev --body 'client-0'" in printed
    assert "--env dev-preview --body 'client-1'" in printed
    assert "--env dev-drift --body 'client-1'" in printed
    for environment, of_main_only in (("dev", True), ("dev-drift", True), ("dev-preview", False)):
        rule = f"environments/{environment}/deployment-branch-policies -f name=main"
        assert (rule in printed) == of_main_only
    assert f"pulumi login '{NAMES.backend}'" in printed
    assert f"--secrets-provider '{NAMES.secrets_provider}'" in printed


@pytest.mark.parametrize("stack", ["dev", "production-of-a-team", "p", "eu.west", "Prod_EU"])
def test_azure_accepts_the_names(stack: str) -> None:
    names = StateNames(SUBSCRIPTION, stack, "francecentral")
    assert names.account.isalnum()
    assert names.account.islower()
    assert 3 <= len(names.account) <= 24
    assert 3 <= len(names.vault) <= 24
    assert names.account != NAMES.account or stack == "dev"
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{3,128}", each.name) for each in names.identities)


def test_a_teardown_prints_and_deletes(run: Run, azure: Azure) -> None:
    azure.has_everything("ollamazure-dev-data")
    azure.has_rights(*all_rights("ollamazure-dev-data"), ("another", "Reader", NAMES.scope_of("x")))
    code, printed = run("--teardown", "--yes")

    assert code == 0, printed
    assert azure.made() == [
        "role assignment delete --ids /assignments/2",
        "role assignment delete --ids /assignments/5",
        f"group delete --name {GROUP} --yes",
    ]
    assert "stays   resource group ollamazure-dev-data with the chats" in printed


def test_no_teardown_while_the_deployment_needs_its_state(run: Run, azure: Azure) -> None:
    azure.has_everything(*DEPLOYED)
    code, printed = run("--teardown", "--yes")

    assert code == 1
    assert "pulumi destroy --stack dev" in printed
    assert azure.made() == []


@pytest.mark.long
def test_a_teardown_asks(run: Run, azure: Azure) -> None:
    azure.has_everything()
    code, printed = run("--teardown")

    assert code == 1
    assert f"delete  resource group {GROUP}" in printed
    assert azure.made() == []


def test_a_teardown_of_nothing_is_an_error(run: Run, azure: Azure) -> None:
    code, printed = run("--teardown", "--yes")

    assert code == 1
    assert "nothing to delete" in printed


def test_the_identities_get_their_roles_on_an_existing_subnet(
    bootstrapped: Run, azure: Azure, tmp_path: Path
) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    config = yaml.safe_load(file.read_text())["config"]
    config["ollamazure:network"] = {"subnetId": f"{VNET}/subnets/chat"}
    file.write_text(yaml.safe_dump({"config": config}))

    code, printed = bootstrapped()

    assert code == 0, printed
    granted = [command for command in azure.made() if "Microsoft.Network" in command]
    assert len(granted) == len(RIGHTS_ON_THE_SUBNET)
    assert "it may act as Virtual Machine Contributor on the subnet chat" in printed


def test_the_deployment_may_give_the_backups_role_and_no_other(
    bootstrapped: Run, azure: Azure, tmp_path: Path
) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    config = yaml.safe_load(file.read_text())["config"]
    config["ollamazure:backup"] = {"target": "azure"}
    file.write_text(yaml.safe_dump({"config": config}))
    azure.has(groups=DEPLOYED)
    role = shlex.quote("Role Based Access Control Administrator")
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ollamazure-dev-data"
    to = "--assignee-object-id principal-0 --assignee-principal-type ServicePrincipal"
    limit = f"--condition {shlex.quote(may_assign(BLOB_DATA_CONTRIBUTOR))} --condition-version 2.0"
    azure.answer(f"role assignment create --role {role} --scope {scope} {to} {limit} {ON}", {})

    code, printed = bootstrapped()

    assert code == 0, printed
    [granted] = [it for it in azure.made() if "Role Based Access Control Administrator" in it]
    assert "resourceGroups/ollamazure-dev-data" in granted
    assert "--condition-version 2.0" in granted
    assert "{ba92f5b4-2d11-453d-a403-e96b0029c9fe}" in granted
    assert "for the backups' role alone" in printed


def test_the_deployment_may_give_the_schedules_role_and_no_other(
    bootstrapped: Run, azure: Azure, tmp_path: Path
) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    config = yaml.safe_load(file.read_text())["config"]
    hours = {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}
    config["ollamazure:workingHours"] = hours
    file.write_text(yaml.safe_dump({"config": config}))
    azure.has(groups=DEPLOYED)
    role = shlex.quote("Role Based Access Control Administrator")
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ollamazure-dev"
    to = "--assignee-object-id principal-0 --assignee-principal-type ServicePrincipal"
    limit = f"--condition {shlex.quote(may_assign(POWER_ON_OFF))} --condition-version 2.0"
    azure.answer(f"role assignment create --role {role} --scope {scope} {to} {limit} {ON}", {})

    code, printed = bootstrapped()

    assert code == 0, printed
    [granted] = [it for it in azure.made() if "Role Based Access Control Administrator" in it]
    assert granted.count(POWER_ON_OFF) == 2
    assert "for the schedule's role alone" in printed
