"""`ollamazure sign-in entra` with stand-ins for `az` and `pulumi`.

The options of each `az` command are those in the source of Azure CLI; the answers have the shapes
of Microsoft Graph, which `az ad` prints as they are.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
import yaml
from typer.testing import CliRunner

from ollamazure import cli
from ollamazure.azure import entra
from tests.unit.stand_in import Program

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
APP = "6731de76-14a6-49ae-97bc-6eba6914391e"
HOST = "our-chat.francecentral.cloudapp.azure.com"
NAME = f"ollamazure {HOST}"
CLIENT_SECRET = "secret~of~the~client~1234"
SETTINGS: dict[str, Any] = {
    "ollamazure:location": "francecentral",
    "ollamazure:dnsLabel": "our-chat",
    "ollamazure:sshClients": ["203.0.113.7/32"],
    "ollamazure:groups": [{"name": "research"}, {"name": "Sales team"}],
}
SIGN_IN = {
    "clientId": APP,
    "tenant": TENANT,
    "allowedDomains": ["example.com"],
    "groups": ["research"],
    "groupsClaim": "roles",
}
REGISTERED = {"ollamazure:signIn": SIGN_IN, "ollamazure:signInSecret": {"secure": "encrypted"}}
RESET = f"ad app credential reset --id {APP} --append --display-name ollamazure --years 1"
RUN = "--output json"


def application(**changes: Any) -> dict[str, Any]:
    """The application after a first run, as Entra shows it."""
    role = {
        "id": str(uuid5(NAMESPACE_URL, "ollamazure/research")),
        "value": "research",
        "displayName": "research",
        "description": "Member of the group research of the chat",
        "allowedMemberTypes": ["User"],
        "isEnabled": True,
        "origin": "Application",
    }
    access = [{"id": id_, "type": "Scope"} for id_ in entra.PERMISSIONS]
    return {
        "appId": APP,
        "displayName": NAME,
        "signInAudience": "AzureADMyOrg",
        "web": {"redirectUris": [f"https://{HOST}/oauth/oidc/callback"]},
        "optionalClaims": {"idToken": [{"name": "email", "essential": False}], "saml2Token": []},
        "appRoles": [role],
        "requiredResourceAccess": [{"resourceAppId": entra.GRAPH, "resourceAccess": access}],
        **changes,
    }


class Azure(Program):
    """A tenant in which nothing of the stack exists, until a test changes that."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "az")
        self.signed_in()
        self.answer(f"ad signed-in-user show {RUN}", {"mail": "Ada@Example.com"})
        self.finds(by_name=[])
        self.answer(f"ad sp create --id {APP} {RUN}", {"appId": APP})
        self.answer(f"{RESET} {RUN}", {"appId": APP, "password": CLIENT_SECRET})
        self.answer(f"ad app delete --id {APP} {RUN}", None)

    def signed_in(self, tenant: str = TENANT, kind: str = "user") -> None:
        account = {"id": SUBSCRIPTION, "tenantId": tenant, "user": {"name": "ada", "type": kind}}
        self.answer(f"account show {RUN}", account)

    def finds(self, **found: list[Any]) -> None:
        """The applications with the chat's name, and those with its id in the settings."""
        if "by_name" in found:
            query = shlex.quote(f"displayName eq '{NAME}'")
            self.answer(f"ad app list --filter {query} {RUN}", found["by_name"])
        if "by_id" in found:
            self.answer(f"ad app list --app-id {APP} {RUN}", found["by_id"])

    def has(self, app: dict[str, Any], *, days: int = 300) -> None:
        """An application, its enterprise application, and a secret that lasts so long."""
        self.finds(by_name=[app], by_id=[app])
        query = shlex.quote(f"appId eq '{APP}'")
        self.answer(f"ad sp list --filter {query} {RUN}", [{"appId": APP}])
        ends = f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%S}Z"
        self.answer(f"ad app credential list --id {APP} {RUN}", [{"endDateTime": ends}])

    def changes(self) -> list[list[str]]:
        verbs = {"create", "update", "delete", "reset"}
        return [words for words, _ in self.calls() if verbs & {*words[:4]}]


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Azure:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
    return Azure(folder)


class AnyPulumi(Program):
    """A Pulumi CLI that accepts every command."""

    def install(self) -> None:
        super().install()
        accept = "answer = answers.get(json.dumps(words), {'text': ''})"
        text = self.file.read_text().replace("answer = answers.get(json.dumps(words))", accept)
        self.file.write_text(text)


@pytest.fixture
def pulumi(azure: Azure) -> Program:
    return AnyPulumi(azure.file.parent, "pulumi")


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(azure: Azure, pulumi: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on a stack with these settings in addition: exit code and output."""
    monkeypatch.setattr(cli, "PROJECT", tmp_path)

    def run(*options: str, **settings: Any) -> tuple[int, str]:
        own = {f"ollamazure:{key}": value for key, value in settings.items()}
        config = {key: value for key, value in {**SETTINGS, **own}.items() if value is not None}
        (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
        azure.install()
        pulumi.install()
        words = ["sign-in", "--stack", "dev", "entra", *options]
        result = CliRunner().invoke(cli.app, words)
        return result.exit_code, result.output

    return run


def registered() -> dict[str, Any]:
    return {key.partition(":")[2]: value for key, value in REGISTERED.items()}


def accept_creation(azure: Azure) -> None:
    """The one command line that creates the application as it is wanted."""
    wanted = application()
    [role] = [{key: each[key] for key in each if key != "origin"} for each in wanted["appRoles"]]
    words = [
        *("ad", "app", "create", "--display-name", NAME, "--sign-in-audience", "AzureADMyOrg"),
        *("--web-redirect-uris", f"https://{HOST}/oauth/oidc/callback"),
        "--optional-claims",
        json.dumps({"idToken": [{"name": "email", "essential": False}]}),
        *("--app-roles", json.dumps([role])),
        *("--required-resource-accesses", json.dumps(wanted["requiredResourceAccess"])),
    ]
    azure.answer(f"{shlex.join(words)} {RUN}", {"appId": APP})


def test_a_first_run_registers_the_chat_and_writes_the_settings(
    run: Run, azure: Azure, pulumi: Program
) -> None:
    accept_creation(azure)
    code, printed = run("--group", "research", "--yes")

    assert code == 0, printed
    assert [words[:3] for words in azure.changes()] == [
        ["ad", "app", "create"],
        ["ad", "sp", "create"],
        ["ad", "app", "credential"],
    ]
    settings = {
        "signIn.clientId": APP,
        "signIn.tenant": TENANT,
        "signIn.groupsClaim": "roles",
        "signIn.allowedDomains[0]": "example.com",
        "signIn.groups[0]": "research",
    }
    pairs = [f"ollamazure:{key}={value}" for key, value in settings.items()]
    plain = [word for pair in pairs for word in ("--plaintext", pair)]
    assert pulumi.calls() == [
        (
            ["config", "set", "--secret", "ollamazure:signInSecret", "--stack", "dev"],
            CLIENT_SECRET,
        ),
        (["config", "set-all", "--path", *plain, "--stack", "dev"], ""),
    ]
    assert printed.index("az ad app create") < printed.index("now: application")
    assert "pulumi up --stack dev" in printed


def test_the_secret_is_on_no_command_line_and_not_printed(
    run: Run, azure: Azure, pulumi: Program
) -> None:
    accept_creation(azure)
    _, printed = run("--group", "research", "--yes")
    lines = [*azure.asked(), *pulumi.asked(), printed]
    assert not [line for line in lines if CLIENT_SECRET in line]


def test_the_second_run_changes_nothing(run: Run, azure: Azure, pulumi: Program) -> None:
    azure.has(application())
    code, printed = run("--yes", **registered())
    assert code == 0, printed
    assert azure.changes() == []
    assert pulumi.calls() == []
    assert "create " not in printed and "change " not in printed


def test_a_run_that_was_cut_off_goes_on(run: Run, azure: Azure, pulumi: Program) -> None:
    """Only the application exists, and the stack file has the secret that was written last."""
    azure.has(application())
    query = shlex.quote(f"appId eq '{APP}'")
    azure.answer(f"ad sp list --filter {query} {RUN}", [])
    code, printed = run("--group", "research", "--yes", signInSecret={"secure": "encrypted"})
    assert code == 0, printed
    assert [words[:3] for words in azure.changes()] == [
        ["ad", "sp", "create"],
        ["ad", "app", "credential"],
    ]
    assert len(pulumi.calls()) == 2


@pytest.mark.parametrize("days", [29, -1])
def test_a_secret_that_ends_soon_is_replaced(
    run: Run, azure: Azure, pulumi: Program, days: int
) -> None:
    azure.has(application(), days=days)
    code, printed = run("--yes", **registered())
    assert code == 0, printed
    assert azure.changes() == [[*shlex.split(RESET), *RUN.split()]]
    assert [sent for _, sent in pulumi.calls()] == [CLIENT_SECRET]


def test_what_others_have_added_stays_but_no_other_address(run: Run, azure: Azure) -> None:
    """A former address could belong to someone else by now."""
    other_role = {"id": "1", "value": "guests", "isEnabled": True}
    graph, another = {"id": "mail", "type": "Scope"}, {"resourceAppId": "2", "resourceAccess": []}
    azure.has(
        application(
            displayName="ollamazure former.example.com",
            web={"redirectUris": ["https://former.example.com/oauth/oidc/callback"]},
            optionalClaims={"idToken": [{"name": "upn"}], "accessToken": []},
            appRoles=[other_role, {**application()["appRoles"][0], "isEnabled": False}],
            requiredResourceAccess=[
                another,
                {"resourceAppId": entra.GRAPH, "resourceAccess": [graph]},
            ],
        )
    )
    changed = {
        "--display-name": NAME,
        "--web-redirect-uris": f"https://{HOST}/oauth/oidc/callback",
        "--optional-claims": json.dumps(
            {
                "idToken": [{"name": "upn"}, {"name": "email", "essential": False}],
                "accessToken": [],
            }
        ),
        "--app-roles": json.dumps([other_role, application()["appRoles"][0]]),
        "--required-resource-accesses": json.dumps(
            [
                another,
                {
                    "resourceAppId": entra.GRAPH,
                    "resourceAccess": [
                        graph,
                        *application()["requiredResourceAccess"][0]["resourceAccess"],
                    ],
                },
            ]
        ),
    }
    words = [word for pair in changed.items() for word in pair]
    azure.answer(f"{shlex.join(['ad', 'app', 'update', '--id', APP, *words])} {RUN}", None)
    code, printed = run("--yes", **registered())
    assert code == 0, printed
    assert f"change  application {NAME}" in printed


def one_more(**changes: Any) -> dict[str, Any]:
    return {"signIn": {**SIGN_IN, **changes}, "signInSecret": {"secure": "encrypted"}}


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        (["--yes"], {"dnsLabel": None}, "pulumi config set ollamazure:dnsLabel our-team-chat"),
        (["--group", "reserach", "--yes"], {}, "reserach"),
        (["--group", "Sales team", "--yes"], {}, "Entra allows no role with the name 'Sales team'"),
        (
            ["--yes"],
            one_more(issuer="https://login.example.com"),
            "pulumi config rm --path ollamazure:signIn.issuer",
        ),
        ([], {}, "there is no terminal to ask at"),
    ],
    ids=["no name", "unknown group", "unfit group", "another provider", "no answer"],
)
def test_nothing_changes_if_it_could_not_work(
    run: Run, azure: Azure, options: list[str], settings: dict[str, Any], message: str
) -> None:
    azure.has(application())
    code, printed = run(*options, **settings)
    assert code == 1
    assert message in printed
    assert azure.changes() == []
    assert "now: " not in printed


def test_another_tenant_is_refused(run: Run, azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", SUBSCRIPTION)
    there = {"id": SUBSCRIPTION, "tenantId": "another", "user": {"type": "user"}}
    azure.answer(f"account show --subscription {SUBSCRIPTION} {RUN}", there)
    code, printed = run("--yes")
    assert code == 1
    assert f"az account set --subscription {SUBSCRIPTION}" in printed
    assert azure.changes() == []


def test_without_a_domain_it_is_requested(run: Run, azure: Azure) -> None:
    azure.signed_in(kind="servicePrincipal")
    code, printed = run("--yes")
    assert code == 1
    assert "add --domain" in printed


def test_two_applications_of_the_name_are_refused(run: Run, azure: Azure) -> None:
    azure.finds(by_name=[application(), application()])
    code, printed = run("--yes")
    assert code == 1
    assert "az ad app delete --id APP_ID" in printed


def test_a_removal_deletes_the_application_and_the_settings(
    run: Run, azure: Azure, pulumi: Program
) -> None:
    azure.has(application())
    code, printed = run("--remove", "--yes", **registered())
    assert code == 0, printed
    assert azure.changes() == [["ad", "app", "delete", "--id", APP, *RUN.split()]]
    assert pulumi.asked() == [
        "config rm ollamazure:signIn --stack dev",
        "config rm ollamazure:signInSecret --stack dev",
    ]
    azure.finds(by_name=[], by_id=[])
    code, printed = run("--remove", "--yes")
    assert code == 1
    assert "nothing to remove" in printed


def test_a_removal_leaves_an_application_that_was_made_by_hand(run: Run, azure: Azure) -> None:
    azure.has(application(displayName="Our chat"))
    code, printed = run("--remove", "--yes", **registered())
    assert code == 0, printed
    assert azure.changes() == []
    assert "stays   application Our chat" in printed


def test_the_help_of_wrong_options(run: Run) -> None:
    code, printed = run("--remove", "--group", "research")
    assert code == 2
    assert "It takes neither domains nor groups." in printed
