"""What workflows need on Azure to deploy a stack: a place for its state, a key, two identities.

Everything of a stack is its own and lies in the resource group `ollamazure-<stack>-state`: a
storage account for Pulumi's state, a vault with the key that encrypts the secrets in it, and two
managed identities that GitHub's jobs sign in as without a stored secret. One deploys; the other
only reads, for previews and the nightly look for drift. docs/how-to/bootstrap-azure.md has who may
do what, and docs/explanation/decisions/0016-permissions-of-the-workflows.md why.

Everything is printed before it is made. What is there already stays as it is, so this may be run
again at any time, and has to be once: the two resource groups of a deployment exist only after the
first `pulumi up`, and rights can be given only on what exists.

Every `az` command line was read by the parser of Azure CLI 2.91.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ollamazure.azure.preflight import (
    PROJECT,
    Az,
    AzError,
    Stack,
    ask_az,
    stack_settings,
    wanted_subscription,
)
from ollamazure.settings.stack import SettingsError

CREATE_ACCOUNT = """
    storage account create --kind StorageV2 --sku Standard_LRS --https-only true
    --min-tls-version TLS1_2 --allow-blob-public-access false --allow-shared-key-access false
"""
KEEP_VERSIONS = """
    storage account blob-service-properties update --enable-versioning true
    --enable-delete-retention true --delete-retention-days 30
"""
CREATE_VAULT = """
    keyvault create --enable-rbac-authorization true
    --enable-purge-protection true --retention-days 90
"""
TRUST_GITHUB = """
    identity federated-credential create --issuer https://token.actions.githubusercontent.com
    --audiences api://AzureADTokenExchange
"""
KEY_API = "api-version=2023-07-01"
KEY_PROPERTIES = {"kty": "RSA", "keySize": 3072, "keyOps": ["encrypt", "decrypt"]}
CONTAINER = KEY = "state"

READ_STATE, WRITE_STATE = "Storage Blob Data Reader", "Storage Blob Data Contributor"
USE_KEY = "Key Vault Crypto User"
# What the plan calls the last but one word of an ARM id.
SCOPES = {"containers": "the container", "keys": "the key", "resourceGroups": "the resource group"}


class BootstrapError(Exception):
    """Nothing more is made or deleted; the message says why and what to do."""


@dataclass(frozen=True)
class Identity:
    """A managed identity: which environments of the repository sign in as it, and its roles."""

    name: str
    environments: tuple[str, ...]
    on_state: str
    on_groups: str


@dataclass(frozen=True)
class Place:
    """The names of everything that belongs to a stack in a subscription.

    Those of the storage account and of the vault are unique in all of Azure, the same every time.
    """

    subscription: str
    stack: str
    location: str

    @property
    def group(self) -> str:
        return f"ollamazure-{self.stack}-state"

    @property
    def deployed_groups(self) -> tuple[str, str]:
        """The groups that the program makes: of the machine, and of its data disk."""
        return f"ollamazure-{self.stack}", f"ollamazure-{self.stack}-data"

    @property
    def account(self) -> str:
        return f"ollamazure{self._digest}"

    @property
    def vault(self) -> str:
        return f"ollamazure-{self._digest}"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(f"{self.subscription}/{self.stack}".encode()).hexdigest()[:12]

    @property
    def identities(self) -> tuple[Identity, Identity]:
        name, stack = f"ollamazure-{self.stack}", self.stack
        reading = (f"{stack}-preview", f"{stack}-drift")
        return (
            Identity(f"{name}-deploy", (stack,), WRITE_STATE, "Contributor"),
            Identity(f"{name}-preview", reading, READ_STATE, "Reader"),
        )

    def scope(self, group: str) -> str:
        """The ARM id of a resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{group}"

    @property
    def container_scope(self) -> str:
        account = f"providers/Microsoft.Storage/storageAccounts/{self.account}"
        return f"{self.scope(self.group)}/{account}/blobServices/default/containers/{CONTAINER}"

    @property
    def keys(self) -> str:
        """The ARM id of all keys of the vault."""
        return f"{self.scope(self.group)}/providers/Microsoft.KeyVault/vaults/{self.vault}/keys"

    @property
    def key_scope(self) -> str:
        return f"{self.keys}/{KEY}"

    @property
    def backend(self) -> str:
        return f"azblob://{CONTAINER}?storage_account={self.account}"

    @property
    def secrets_provider(self) -> str:
        return f"azurekeyvault://{self.vault}.vault.azure.net/keys/{KEY}"


Right = tuple[str, str, str]
"""Who has a role: the object id, the role's name, the ARM id that it is on, in lower case."""


@dataclass(frozen=True)
class Found:
    """What of a place is there; everything is empty while its resource group is not.

    `rights` are the role assignments of the subscription with their ARM ids.
    """

    groups: frozenset[str]
    rights: Mapping[Right, str]
    accounts: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    vaults: frozenset[str] = frozenset()
    deleted_vaults: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    principals: dict[str, str] = field(default_factory=dict)
    credentials: frozenset[tuple[str, str, str]] = frozenset()

    @classmethod
    def ask(cls, az: Az, place: Place) -> Found:
        groups = _names(az.ask("group", "list"))
        listed = az.ask("role", "assignment", "list", "--all", "--fill-principal-name", "false")
        rights = {
            (one["principalId"], one["roleDefinitionName"], one["scope"].lower()): one["id"]
            for one in listed
        }
        deleted = _names(az.ask("keyvault", "list-deleted", "--resource-type", "vault"))
        if place.group not in groups:
            return cls(groups, rights, deleted_vaults=deleted)
        here = ("--resource-group", place.group)
        accounts = _names(az.ask("storage", "account", "list", *here))
        containers = ("storage", "container-rm", "list", "--storage-account", place.account, *here)
        vaults = _names(az.ask("keyvault", "list", *here))
        principals = {one["name"]: one["principalId"] for one in az.ask("identity", "list", *here)}
        return cls(
            groups,
            rights,
            accounts,
            _names(az.ask(*containers)) if place.account in accounts else frozenset(),
            vaults,
            deleted,
            _names(_arm("get", place.keys)["value"]) if place.vault in vaults else frozenset(),
            principals,
            frozenset(
                (name, one["name"], one["subject"])
                for name in principals
                for one in az.ask(
                    "identity", "federated-credential", "list", "--identity-name", name, *here
                )
            ),
        )


def _names(items: Sequence[dict[str, Any]]) -> frozenset[str]:
    return frozenset(item["name"] for item in items)


def _arm(method: str, resource: str) -> Any:
    return ask_az("rest", "--method", method, "--url", f"{resource}?{KEY_API}")


@dataclass(frozen=True)
class ObjectId:
    """The object id of a managed identity, which is known once it has been made."""

    identity: str


@dataclass(frozen=True)
class Assignee:
    """Who gets a role: what the plan calls him, what Azure does, and his object id."""

    name: str
    kind: str
    id: str | ObjectId


@dataclass(frozen=True)
class Step:
    """Something that should be there, and the `az` commands that make it."""

    what: str
    there: bool
    commands: tuple[tuple[str | ObjectId, ...], ...]


def steps(place: Place, found: Found, subject_prefix: str, person: str | None) -> Iterator[Step]:
    """Everything that should be there, in the order in which it is made.

    `subject_prefix` is how a token of GitHub names the repository; `person` is the object id of
    whoever makes the first deployment by hand.
    """
    labels = ("--tags", "project=ollamazure", f"stack={place.stack}")
    here = ("--resource-group", place.group)
    new = (*here, "--location", place.location, *labels)
    yield Step(
        f"resource group {place.group} in {place.location}",
        place.group in found.groups,
        (("group", "create", "--name", place.group, "--location", place.location, *labels),),
    )
    yield Step(
        f"storage account {place.account}: nothing public, no account keys, versions kept 30 days",
        place.account in found.accounts,
        (
            (*_words(CREATE_ACCOUNT), "--name", place.account, *new),
            (*_words(KEEP_VERSIONS), "--account-name", place.account, *here),
        ),
    )
    container = ("--name", CONTAINER, "--storage-account", place.account)
    yield Step(
        f"container {CONTAINER} in it, for Pulumi's state",
        CONTAINER in found.containers,
        (("storage", "container-rm", "create", *container, *here),),
    )
    if place.vault in found.deleted_vaults:
        yield Step(
            f"key vault {place.vault}, back from the deleted ones, with its key",
            False,
            (("keyvault", "recover", "--name", place.vault),),
        )
    else:
        yield Step(
            f"key vault {place.vault}: rights by roles, what is deleted stays for 90 days",
            place.vault in found.vaults,
            ((*_words(CREATE_VAULT), "--name", place.vault, *new),),
        )
    # Azure Resource Manager makes the first version of a key only: one that exists stays.
    key = ("--url", f"{place.key_scope}?{KEY_API}")
    yield Step(
        f"key {KEY} in it, for the secrets in the state",
        KEY in found.keys,
        (("rest", "--method", "put", *key, "--body", json.dumps({"properties": KEY_PROPERTIES})),),
    )
    for identity in place.identities:
        yield Step(
            f"managed identity {identity.name}",
            identity.name in found.principals,
            (("identity", "create", "--name", identity.name, *new),),
        )
        trust = (*_words(TRUST_GITHUB), "--identity-name", identity.name, *here)
        for environment in identity.environments:
            subject = f"{subject_prefix}:environment:{environment}"
            yield Step(
                f"  GitHub signs in to it as {subject}",
                (identity.name, environment, subject) in found.credentials,
                ((*trust, "--name", environment, "--subject", subject),),
            )
        yield from _rights(place, found, identity)
    if person:
        you = Assignee("you", "User", person)
        yield _right(you, WRITE_STATE, place.container_scope, found)
        yield _right(you, USE_KEY, place.key_scope, found)


def _rights(place: Place, found: Found, identity: Identity) -> Iterator[Step]:
    """The roles of an identity, each on one thing; a group that is not there yet has none."""
    it = Assignee("it", "ServicePrincipal", ObjectId(identity.name))
    yield _right(it, identity.on_state, place.container_scope, found)
    yield _right(it, USE_KEY, place.key_scope, found)
    for group in place.deployed_groups:
        if group in found.groups:
            yield _right(it, identity.on_groups, place.scope(group), found)


def _right(assignee: Assignee, role: str, scope: str, found: Found) -> Step:
    who = assignee.id
    known = who if isinstance(who, str) else found.principals.get(who.identity, "")
    to = ("--assignee-object-id", who, "--assignee-principal-type", assignee.kind)
    kind, thing = scope.split("/")[-2:]
    return Step(
        f"  {assignee.name} may act as {role} on {SCOPES[kind]} {thing}",
        (known, role, scope.lower()) in found.rights,
        ((*_words("role assignment create"), "--role", role, "--scope", scope, *to),),
    )


def _words(command: str) -> tuple[str, ...]:
    return tuple(command.split())


def make(az: Az, place: Place, step: Step) -> None:
    """Run a step's commands; raises AzError."""

    def argument(word: str | ObjectId) -> str:
        if isinstance(word, str):
            return word
        here = ("--resource-group", place.group)
        return str(az.ask("identity", "show", "--name", word.identity, *here)["principalId"])

    for command in step.commands:
        words = [argument(word) for word in command]
        # What goes to Azure Resource Manager itself names the subscription in its URL.
        ask_az(*words) if words[0] == "rest" else az.ask(*words)


def subject_prefix(repository: str) -> str:
    """How GitHub names a repository in the tokens of its jobs.

    Repositories made, renamed or moved after July 2026 have the numbers of owner and repository in
    it (repo:owner@1/name@2), so that nobody who takes over a name is taken for them; older ones
    are repo:owner/name unless they have changed over. GitHub itself is asked.

    Raises:
        BootstrapError: it does not say, or says that the repository has a form of its own.
    """
    command = ["gh", "api", f"repos/{repository}/actions/oidc/customization/sub"]
    way_out = (
        f"Look at `{shlex.join(command)}`, then give --subject-prefix, for example "
        f"repo:{repository} or repo:OWNER@1/NAME@2."
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BootstrapError(f"the gh command is not installed to ask GitHub. {way_out}") from error
    if done.returncode:
        raise BootstrapError(f"GitHub does not say: {done.stderr.strip()} {way_out}")
    said = json.loads(done.stdout)
    if not said.get("use_default", True):
        raise BootstrapError(f"{repository} names itself in tokens in a form of its own. {way_out}")
    return str(said.get("sub_claim_prefix") or f"repo:{repository}")


def signed_in_person(account: dict[str, Any]) -> str | None:
    """The object id of who is signed in; None when it is no person."""
    if account["user"]["type"] != "user":
        return None
    return str(ask_az("ad", "signed-in-user", "show")["id"])


def _environment(path: str) -> list[str]:
    """The commands that make an environment; only that of pull requests serves all branches."""
    put = f"  gh api --method PUT {path}"
    if path.endswith("-preview"):
        return [put]
    policy = "deployment_branch_policy"
    return [
        f"{put} -F '{policy}[protected_branches]=false' -F '{policy}[custom_branch_policies]=true'",
        f"  gh api --method POST {path}/deployment-branch-policies -f name=main",
    ]


def what_is_next(az: Az, place: Place, repository: str, tenant: str, found: Found) -> str:
    """What a person does now: on GitHub, with Pulumi, and here again."""
    lines = [
        "",
        f"Now on GitHub, in {repository} (protect the environments as the guide says):",
        "",
    ]
    here = ("--resource-group", place.group)
    for identity in place.identities:
        client = az.ask("identity", "show", "--name", identity.name, *here)["clientId"]
        variables = {
            "AZURE_CLIENT_ID": client,
            "AZURE_TENANT_ID": tenant,
            "AZURE_SUBSCRIPTION_ID": place.subscription,
            "PULUMI_BACKEND_URL": place.backend,
            "PULUMI_SECRETS_PROVIDER": place.secrets_provider,
        }
        for environment in identity.environments:
            about = f"--repo {repository} --env {environment}"
            lines += _environment(f"repos/{repository}/environments/{environment}")
            lines += [
                f"  gh variable set {name} {about} --body '{value}'"
                for name, value in variables.items()
            ]
    missing = [group for group in place.deployed_groups if group not in found.groups]
    if missing:
        lines += [
            "",
            "The first deployment is yours; its rights are Azure's, not the workflows':",
            "",
            f"  pulumi login '{place.backend}'",
            f"  pulumi stack init {place.stack} --secrets-provider '{place.secrets_provider}'",
            f"  pulumi up --stack {place.stack}",
            f"  git add Pulumi.{place.stack}.yaml && git commit",
            "",
            f"Then this once more: {' and '.join(missing)} is not there yet, and the identities",
            "get their rights on it when it is.",
        ]
    return "\n".join(lines)


def remove(place: Place, found: Found) -> Iterator[Step]:
    """What a teardown deletes. Rights on what stays go first: nobody could tell whose they were."""
    mine = set(found.principals.values())
    for (principal, role, scope), id_ in found.rights.items():
        stays = f"/resourcegroups/{place.group}/".lower() not in f"{scope}/"
        if principal in mine and stays:
            delete = ("role", "assignment", "delete", "--ids", id_)
            yield Step(f"the role {role} on {scope}", False, (delete,))
    yield Step(
        f"resource group {place.group} with the state, the identities, and the key "
        "(which Azure keeps for 90 days, and the next bootstrap brings back)",
        False,
        (("group", "delete", "--name", place.group, "--yes"),),
    )


def agreed(question: str, answer: str) -> bool:
    """Whether a person types `answer`; without a person nobody has agreed."""
    if not sys.stdin.isatty():
        raise BootstrapError("nobody is here to ask; --yes agrees beforehand.")
    return input(f"{question} ").strip() == answer


def bootstrap(az: Az, place: Place, options: argparse.Namespace) -> None:
    prefix = options.subject_prefix or subject_prefix(options.repository)
    account = ask_az("account", "show", "--subscription", place.subscription)
    found = Found.ask(az, place)
    planned = list(steps(place, found, prefix, signed_in_person(account)))
    for step in planned:
        print(f"{'there' if step.there else 'make '}  {step.what}")
    missing = [step for step in planned if not step.there]
    if missing:
        question = f"Make {len(missing)} in subscription {account['name']}? (yes)"
        if not (options.yes or agreed(question, "yes")):
            raise BootstrapError("nothing was made.")
        for step in missing:
            print(f"making {step.what.strip()}", flush=True)
            make(az, place, step)
    print(what_is_next(az, place, options.repository, account["tenantId"], found))


def teardown(az: Az, place: Place, options: argparse.Namespace) -> None:
    found = Found.ask(az, place)
    deployed, data = place.deployed_groups
    if deployed in found.groups:
        raise BootstrapError(
            f"{deployed} is still there, and without its state Pulumi could not remove it any "
            f"more. First: pulumi destroy --stack {place.stack}"
        )
    if place.group not in found.groups:
        raise BootstrapError(f"{place.group} is not there; nothing to delete.")
    planned = list(remove(place, found))
    for step in planned:
        print(f"delete  {step.what}")
    if data in found.groups:
        print(f"stays   resource group {data} with the chats, which keepData kept")
    print(f"stays   GitHub's environments and their variables, and Pulumi.{place.stack}.yaml")
    if not (options.yes or agreed("To delete this, type the stack's name:", place.stack)):
        raise BootstrapError("nothing was deleted.")
    for step in planned:
        print(f"deleting {step.what}", flush=True)
        make(az, place, step)


def place_of(options: argparse.Namespace) -> Place:
    """Where a stack's things are; raises BootstrapError, SettingsError, AzError."""
    try:
        stack = Stack.read(options.stack, options.folder)
    except FileNotFoundError as error:
        raise BootstrapError(
            f"{error.filename} does not exist: make the stack's file first."
        ) from error
    account = ask_az("account", "show", *wanted_subscription(stack))
    return Place(account["id"], stack.name, stack_settings(stack).location)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What workflows need on Azure to deploy a stack.")
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument("--repository", default="", help="owner/name on GitHub")
    parser.add_argument("--subject-prefix", help="instead of asking GitHub, repo:owner@1/name@2")
    parser.add_argument("--teardown", action="store_true", help="delete it all again")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--folder", type=Path, default=PROJECT, help="where the stack's file is")
    options = parser.parse_args(arguments)
    if not options.teardown and len(options.repository.split("/")) != 2:
        parser.error("--repository owner/name is the repository whose workflows deploy")
    try:
        place = place_of(options)
        (teardown if options.teardown else bootstrap)(Az(place.subscription), place, options)
    except (BootstrapError, SettingsError, AzError) as error:
        print(f"bootstrap-azure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
