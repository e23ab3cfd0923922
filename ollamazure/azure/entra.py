"""Registers a chat at Microsoft Entra ID, and writes the settings of `signIn`; or removes both.

Everything is printed before it is done, with its commands, and what exists is compared with what is
wanted, so it may run again at any time. An application has the name `ollamazure <host>`: `az ad app
create` changes an existing one of the same name, and no other chat has the same host.

The secret goes from `az` to `pulumi config set --secret` by standard input. Nothing else has it.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from ollamazure.azure.az import run_az
from ollamazure.azure.bootstrap import confirm
from ollamazure.azure.bootstrap_steps import BootstrapStep
from ollamazure.azure.stack_file import StackFile
from ollamazure.settings.problems import NAMESPACE
from ollamazure.settings.sign_in import CALLBACK

SIGN_IN, SECRET = f"{NAMESPACE}:signIn", f"{NAMESPACE}:signInSecret"
PREFIX = "ollamazure "
"""The start of the name of each application that this module has created."""
APP_ID = "APP_ID"
"""Stands in a command for the id that Entra chooses for a new application."""
CREDENTIAL = "ollamazure"
YEARS = "1"
RENEWED_BEFORE = timedelta(days=30)
# Microsoft Graph and three of its permissions, the same in every tenant: an administrator can grant
# these for all users where users may not.
GRAPH = "00000003-0000-0000-c000-000000000000"
PERMISSIONS = (
    "37f7f235-527c-4136-accd-4a02d197296e",  # openid
    "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0",  # email
    "14dad69e-099b-42c9-810b-d002981feec1",  # profile
)
# What Entra allows as the value of an app role (appRole in the reference of Microsoft Graph).
ROLE_VALUE = r"(?!\.)[0-9A-Za-z!#$%&'()*+,\-./:;<=>?@\[\]^_`{|}~]{1,120}"
# Holds the place of values that do not exist yet while the settings are checked.
NO_ID = str(uuid.UUID(int=0))


class Provider(StrEnum):
    """The providers that `ollamazure sign-in` knows."""

    ENTRA = "entra"


class EntraError(Exception):
    """The application cannot be registered or removed; the message gives the reason and the fix."""


@dataclass(frozen=True)
class AppSetting:
    """A setting of an application: the option of `az` that sets it, its value, the wanted value."""

    option: str
    present: Any
    wanted: Any

    @property
    def words(self) -> tuple[str, ...]:
        """The option with the wanted value."""
        text = self.wanted if isinstance(self.wanted, str) else json.dumps(self.wanted)
        return (self.option, text)


@dataclass(frozen=True)
class Registration:
    """What a chat needs at Entra.

    Attributes:
        stack: its name.
        host: in the chat's address.
        groups: the names of the groups that Entra fills.
        app: the application, as `az` shows it; empty if it does not exist.
        has_principal: whether the tenant has its enterprise application.
        has_secret: whether the stack file has a secret of it that is valid long enough.
        settings: those of `signIn` that are missing or differ, by their keys for Pulumi.
    """

    stack: str
    host: str
    groups: Sequence[str]
    app: Mapping[str, Any]
    has_principal: bool
    has_secret: bool
    settings: Mapping[str, str]

    @property
    def id(self) -> str:
        """The application's id; until Entra has chosen it, what stands for it."""
        return str(self.app.get("appId") or APP_ID)


def register(
    stack: str, folder: Path, domains: Sequence[str], groups: Sequence[str], *, yes: bool
) -> None:
    """Create or change what is missing at Entra and in the stack's settings.

    Args:
        stack: its name.
        folder: where the stack's file is.
        domains: the domains of the users' e-mails; none for those of the settings, else that of the
            person who is signed in.
        groups: the groups that Entra fills, in addition to those of the settings.
        yes: whether to go on without a question.

    Raises:
        AzError, BootstrapError, EntraError, SettingsError: the message gives the reason.
    """
    file = read_file(stack, folder)
    tenant = read_tenant(file)
    declared = sign_in_of(file)
    wanted = {
        **declared,
        "clientId": declared.get("clientId") or NO_ID,
        "tenant": tenant,
        "allowedDomains": list(domains or declared.get("allowedDomains") or [own_domain()]),
        "groups": list(dict.fromkeys([*declared.get("groups", []), *groups])),
    }
    if wanted["groups"]:
        wanted["groupsClaim"] = "roles"
    registration = inspect(file, wanted)
    steps = list(plan(registration))
    print_steps(steps)
    missing = [step for step in steps if not step.done]
    if missing and not (yes or confirm("Go on? (yes)", "yes")):
        raise EntraError("nothing was changed.")
    run_steps(missing, registration.id, folder)
    print("\n".join(next_steps(registration)))


def remove(stack: str, folder: Path, *, yes: bool) -> None:
    """Delete the application and the settings of `signIn`; the errors are those of `register`."""
    file = read_file(stack, folder)
    read_tenant(file)
    app = find_app(sign_in_of(file).get("clientId"), f"{PREFIX}{host_of(file)}")
    steps = list(plan_removal(stack, app, file))
    if not steps:
        raise EntraError(f"the stack {stack} has nothing of it; nothing to remove.")
    print_steps(steps, "delete")
    if app and not _is_ours(app):
        print(f"stays   application {app['displayName']}, which another program has created")
    if not (yes or confirm("To delete this, type the stack's name:", stack)):
        raise EntraError("nothing was deleted.")
    run_steps(steps, APP_ID, folder)
    print(f"\nUsers sign in with Microsoft until you run: pulumi up --stack {stack}")


def read_file(stack: str, folder: Path) -> StackFile:
    """The stack's file; raises EntraError if it does not exist."""
    try:
        return StackFile.read(stack, folder)
    except FileNotFoundError as error:
        raise EntraError(f"{error.filename} does not exist: create the stack first.") from error


def read_tenant(file: StackFile) -> str:
    """The tenant of the stack's subscription, in which `az ad` works as well.

    Raises:
        EntraError: `az` would register the chat in another tenant.
    """
    wanted = run_az("account", "show", *file.subscription_arguments())
    used = run_az("account", "show")
    if wanted["tenantId"] != used["tenantId"]:
        raise EntraError(
            f"az works in the tenant {used['tenantId']}, but the subscription of {file.name} is in "
            f"{wanted['tenantId']}. First: az account set --subscription {wanted['id']}"
        )
    return str(wanted["tenantId"])


def sign_in_of(file: StackFile) -> dict[str, Any]:
    """The settings of `signIn` as the stack's file has them, unchecked."""
    declared = file.config.get(SIGN_IN) or {}
    found: dict[str, Any] = json.loads(declared) if isinstance(declared, str) else dict(declared)
    return found


def own_domain() -> str:
    """The domain of the e-mail of the person who is signed in.

    Raises:
        EntraError: it has none.
    """
    account = run_az("account", "show")
    if account["user"]["type"] == "user":
        email = str(run_az("ad", "signed-in-user", "show").get("mail") or "")
        if "@" in email:
            return email.rpartition("@")[2].lower()
    raise EntraError("add --domain with the domain of your users' e-mails, such as example.com.")


def inspect(file: StackFile, wanted: Mapping[str, Any]) -> Registration:
    """What exists of the wanted settings, in Entra and in the stack's file.

    Raises:
        EntraError: a group cannot be a role of an application.
        SettingsError: the settings would not fit together.
    """
    with_sign_in(file, wanted).settings()
    host = host_of(file)
    groups = wanted["groups"]
    if unfit := [group for group in groups if not re.fullmatch(ROLE_VALUE, group)]:
        raise EntraError(
            f"Entra allows no role with the name {', '.join(map(repr, unfit))}: it has blanks or "
            "letters with accents, or is longer than 120 characters. Rename the group in `groups`."
        )
    declared = sign_in_of(file)
    app = find_app(declared.get("clientId"), f"{PREFIX}{host}")
    id_ = str(app.get("appId") or APP_ID)
    principals, secrets = [], []
    if app:
        principals = run_az("ad", "sp", "list", "--filter", f"appId eq '{id_}'")
        secrets = run_az("ad", "app", "credential", "list", "--id", id_)
    return Registration(
        file.name,
        host,
        groups,
        app,
        bool(principals),
        SECRET in file.config and declared.get("clientId") == id_ and any(map(_lasts, secrets)),
        dict(changed_settings(declared, {**wanted, "clientId": id_})),
    )


def with_sign_in(file: StackFile, sign_in: Mapping[str, Any] | None) -> StackFile:
    """The stack with these settings of `signIn` and a secret, or with neither."""
    others = {key: value for key, value in file.config.items() if key not in (SIGN_IN, SECRET)}
    added = {SIGN_IN: sign_in, SECRET: {"secure": ""}} if sign_in else {}
    return replace(file, config=others | added)


def host_of(file: StackFile) -> str:
    """The name in the chat's address, which does not depend on `signIn`; raises SettingsError."""
    return str(with_sign_in(file, None).settings().public_name)


def find_app(client_id: str | None, name: str) -> Mapping[str, Any]:
    """The application with this id, else the one with this name; empty if there is none.

    Raises:
        EntraError: several applications have the name.
    """
    found: list[Mapping[str, Any]] = []
    if client_id:
        found = run_az("ad", "app", "list", "--app-id", client_id)
    if not found:
        found = run_az("ad", "app", "list", "--filter", f"displayName eq '{name}'")
    if len(found) > 1:
        raise EntraError(
            f"{len(found)} applications have the name {name}. Delete all but one: "
            "az ad app delete --id APP_ID"
        )
    return found[0] if found else {}


def app_settings(registration: Registration) -> list[AppSetting]:
    """The settings of the application, with those that others have added.

    Other addresses do not stay: one whose owner has given up the name could be taken over.
    """
    app, address = registration.app, f"https://{registration.host}{CALLBACK}"
    claims, roles = app.get("optionalClaims") or {}, app.get("appRoles") or []
    access = app.get("requiredResourceAccess") or []
    return [
        AppSetting("--display-name", app.get("displayName"), f"{PREFIX}{registration.host}"),
        AppSetting("--sign-in-audience", app.get("signInAudience"), "AzureADMyOrg"),
        AppSetting(
            "--web-redirect-uris",
            " ".join((app.get("web") or {}).get("redirectUris") or []),
            address,
        ),
        AppSetting("--optional-claims", claims, with_email(claims)),
        AppSetting("--app-roles", roles, with_roles(roles, registration.groups)),
        AppSetting("--required-resource-accesses", access, with_permissions(access)),
    ]


def with_email(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """The optional claims with the e-mail in the ID token."""
    present = claims.get("idToken") or []
    if any(claim["name"] == "email" for claim in present):
        return claims
    return {**claims, "idToken": [*present, {"name": "email", "essential": False}]}


def with_roles(roles: Sequence[Mapping[str, Any]], groups: Iterable[str]) -> list[Any]:
    """The roles with one for each group, under the group's name."""
    wanted = [{**role, "isEnabled": True} if role["value"] in groups else role for role in roles]
    known = {role["value"] for role in roles}
    return wanted + [
        {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{NAMESPACE}/{group}")),
            "value": group,
            "displayName": group,
            "description": f"Member of the group {group} of the chat",
            "allowedMemberTypes": ["User"],
            "isEnabled": True,
        }
        for group in groups
        if group not in known
    ]


def with_permissions(access: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The permissions with those that a sign-in needs."""
    others = [each for each in access if each["resourceAppId"] != GRAPH]
    present = [
        one for each in access if each["resourceAppId"] == GRAPH for one in each["resourceAccess"]
    ]
    known = {one["id"] for one in present}
    missing = [{"id": id_, "type": "Scope"} for id_ in PERMISSIONS if id_ not in known]
    if not missing:
        return list(access)
    return [*others, {"resourceAppId": GRAPH, "resourceAccess": [*present, *missing]}]


def changed_settings(
    declared: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """The keys and values for `pulumi config set-all --path` that turn one into the other."""
    for name in ("clientId", "tenant", "groupsClaim"):
        if wanted.get(name) and declared.get(name) != wanted[name]:
            yield f"{SIGN_IN}.{name}", wanted[name]
    for name in ("allowedDomains", "groups"):
        before = declared.get(name) or []
        for index, value in enumerate(wanted[name]):
            if index >= len(before) or before[index] != value:
                yield f"{SIGN_IN}.{name}[{index}]", value


def plan(registration: Registration) -> Iterator[BootstrapStep]:
    """Everything that must exist, in the order in which it is created."""
    id_, stack = registration.id, ("--stack", registration.stack)
    settings = app_settings(registration)
    changed = [word for each in settings if each.present != each.wanted for word in each.words]
    verb = ("update", "--id", id_) if registration.app else ("create",)
    yield BootstrapStep(
        f"application {PREFIX}{registration.host} with the address of the chat",
        not changed,
        (("az", "ad", "app", *verb, *changed),),
        bool(registration.app),
    )
    yield BootstrapStep(
        "  its enterprise application, where users get roles",
        registration.has_principal,
        (("az", "ad", "sp", "create", "--id", id_),),
    )
    reset = ("--append", "--display-name", CREDENTIAL, "--years", YEARS)
    yield BootstrapStep(
        f"  a secret for {YEARS} year, as the setting signInSecret",
        registration.has_secret,
        (
            ("az", "ad", "app", "credential", "reset", "--id", id_, *reset),
            ("pulumi", "config", "set", "--secret", SECRET, *stack),
        ),
    )
    pairs = [f"{key}={value}" for key, value in registration.settings.items()]
    plain = [word for pair in pairs for word in ("--plaintext", pair)]
    yield BootstrapStep(
        "the setting signIn",
        not pairs,
        (("pulumi", "config", "set-all", "--path", *plain, *stack),),
    )


def plan_removal(stack: str, app: Mapping[str, Any], file: StackFile) -> Iterator[BootstrapStep]:
    """What a removal deletes: an application that another program has created stays."""
    if app and _is_ours(app):
        yield BootstrapStep(
            f"application {app['displayName']} (Entra keeps it for 30 days)",
            False,
            (("az", "ad", "app", "delete", "--id", app["appId"]),),
        )
    for key in (SIGN_IN, SECRET):
        if key in file.config:
            yield BootstrapStep(
                f"the setting {key.partition(':')[2]}",
                False,
                (("pulumi", "config", "rm", key, "--stack", stack),),
            )


def print_steps(steps: Iterable[BootstrapStep], state: str = "") -> None:
    """Print each step, and the commands of those that are not done."""
    for step in steps:
        print(f"{state or step.state}  {step.what}")
        if not step.done:
            print("\n".join(f"        {shlex.join(map(str, words))}" for words in step.commands))


def run_steps(steps: Iterable[BootstrapStep], app_id: str, folder: Path) -> None:
    """Run the commands of the steps; raises AzError, EntraError."""
    secret = ""
    for step in steps:
        print(f"now: {step.what.strip()}", flush=True)
        for command in step.commands:
            program, *words = map(str, command)
            known = [word.replace(APP_ID, app_id) for word in words]
            if program == "az":
                answer = run_az(*known) or {}
                app_id = app_id if app_id != APP_ID else answer.get("appId", APP_ID)
                secret = answer.get("password", "")
            else:
                run_pulumi([program, *known], secret, folder)


def run_pulumi(command: Sequence[str], secret: str, folder: Path) -> None:
    """Run Pulumi in the stack's folder, with a secret on its standard input; raises EntraError."""
    try:
        done = subprocess.run(command, cwd=folder, input=secret, text=True, check=False)
    except FileNotFoundError as error:
        raise EntraError("the pulumi command is not installed.") from error
    if done.returncode:
        raise EntraError(
            f"`{shlex.join(command[:3])}` failed; Pulumi's own message is above. If it needs the "
            "passphrase, set PULUMI_CONFIG_PASSPHRASE. Then run this again: it goes on from here."
        )


def next_steps(registration: Registration) -> Iterator[str]:
    """What the operator does next."""
    stack = registration.stack
    yield from ("", f"Users can sign in with Microsoft after: pulumi up --stack {stack}")
    if registration.groups:
        yield from (
            f"Give the roles {', '.join(registration.groups)} to users or groups in Entra, under "
            f"Enterprise applications, {PREFIX}{registration.host}, Users and groups.",
        )
    yield f"The secret is valid for {YEARS} year: run this again in its last month."


def _is_ours(app: Mapping[str, Any]) -> bool:
    return str(app["displayName"]).startswith(PREFIX)


def _lasts(secret: Mapping[str, Any]) -> bool:
    ends = datetime.fromisoformat(secret["endDateTime"])
    return ends > datetime.now(UTC) + RENEWED_BEFORE
