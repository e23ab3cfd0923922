"""The steps of a bootstrap and of its removal, each with the `az` commands that do it.

Every `az` command line was read by the parser of Azure CLI 2.91.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ollamazure.azure.az import AzureCli, run_az
from ollamazure.azure.inventory import AZURE_AUDIENCE, GITHUB_ISSUER, KEY_API, Inventory
from ollamazure.azure.state_names import (
    CONTAINER,
    KEY,
    USE_KEY,
    WRITE_STATE,
    StateNames,
    WorkflowIdentity,
)
from ollamazure.names import BLOB_DATA_CONTRIBUTOR, POWER_ON_OFF


class AzureSetting(NamedTuple):
    """A setting of something on Azure: the option that sets it, its value, and where it is shown.

    `shown` is a path in the JSON that `az` prints, with dots.
    """

    option: str
    value: bool | int | str
    shown: str


ACCOUNT = (
    AzureSetting("--https-only", True, "enableHttpsTrafficOnly"),
    AzureSetting("--min-tls-version", "TLS1_2", "minimumTlsVersion"),
    AzureSetting("--allow-blob-public-access", False, "allowBlobPublicAccess"),
    AzureSetting("--allow-shared-key-access", False, "allowSharedKeyAccess"),
)
VERSIONS = (
    AzureSetting("--enable-versioning", True, "isVersioningEnabled"),
    AzureSetting("--enable-delete-retention", True, "deleteRetentionPolicy.enabled"),
    AzureSetting("--delete-retention-days", 30, "deleteRetentionPolicy.days"),
)
# What Azure lets no one change later.
KIND = "--kind StorageV2 --sku Standard_LRS"
RETENTION = "--retention-days 90"
VAULT = (
    AzureSetting("--enable-rbac-authorization", True, "properties.enableRbacAuthorization"),
    AzureSetting("--enable-purge-protection", True, "properties.enablePurgeProtection"),
)
TRUST_GITHUB = f"""
    identity federated-credential create --issuer {GITHUB_ISSUER} --audiences {AZURE_AUDIENCE}
"""
KEY_PROPERTIES = {"kty": "RSA", "keySize": 3072, "keyOps": ["encrypt", "decrypt"]}
_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
_TO_MACHINES = "ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}"


def may_assign(role: str) -> str:
    """The condition of the right to assign this one role, to identities of Azure's: Azure's own
    form of "constrain roles".
    """
    is_role = f"ForAnyOfAnyValues:GuidEquals {{{role}}}"
    return (
        f"((!(ActionMatches{{'{_ASSIGNMENTS}/write'}})) OR "
        f"(@Request[{_ASSIGNMENTS}:RoleDefinitionId] {is_role} AND "
        f"@Request[{_ASSIGNMENTS}:PrincipalType] {_TO_MACHINES})) AND "
        f"((!(ActionMatches{{'{_ASSIGNMENTS}/delete'}})) OR "
        f"(@Resource[{_ASSIGNMENTS}:RoleDefinitionId] {is_role} AND "
        f"@Resource[{_ASSIGNMENTS}:PrincipalType] {_TO_MACHINES}))"
    )


# What the printed steps call the last but one word of an ARM id.
SCOPES = {
    "containers": "the container",
    "keys": "the key",
    "resourcegroups": "the resource group",
    "subnets": "the subnet",
    "virtualnetworks": "the virtual network",
}


@dataclass(frozen=True)
class ObjectId:
    """The object id of a managed identity, which Azure chooses when it creates the identity."""

    identity: str


@dataclass(frozen=True)
class Assignee:
    """An account that gets a role: its name in the printed steps, Azure's type, its object id."""

    name: str
    type: str
    id: str | ObjectId


class Constraint(NamedTuple):
    """The one role that a right to assign roles is limited to: whose it is, and Azure's id."""

    of: str
    role: str


@dataclass(frozen=True)
class BootstrapStep:
    """Something that must exist, or must be deleted, and the `az` commands for it.

    It `exists` without being `done` where someone has changed it, or an earlier run was cut off.
    """

    what: str
    done: bool
    commands: tuple[tuple[str | ObjectId, ...], ...]
    exists: bool = False

    @property
    def state(self) -> str:
        """What a bootstrap does with it."""
        return "exists" if self.done else "change" if self.exists else "create"


def plan_bootstrap(
    names: StateNames, inventory: Inventory, subject_prefix: str, person: str | None
) -> Iterator[BootstrapStep]:
    """Everything that must exist, in the order in which it is created.

    Args:
        names: of what is created.
        inventory: what already exists.
        subject_prefix: how a token of GitHub names the repository.
        person: the object id of the person who makes the first deployment by hand.
    """
    yield from _plan_storage(names, inventory)
    yield from _plan_vault(names, inventory)
    for identity in names.identities:
        yield from _plan_identity(names, inventory, identity, subject_prefix)
        yield from _plan_roles(names, inventory, identity)
    if person:
        you = Assignee("you", "User", person)
        yield _assign(you, WRITE_STATE, names.container_scope, inventory)
        yield _assign(you, USE_KEY, names.key_scope, inventory)


def _tags(names: StateNames) -> tuple[str, ...]:
    return ("--tags", "project=ollamazure", f"stack={names.stack}")


def _in_group(names: StateNames) -> tuple[str, ...]:
    return ("--resource-group", names.group)


def _new_in_group(names: StateNames) -> tuple[str, ...]:
    return (*_in_group(names), "--location", names.location, *_tags(names))


def _plan_storage(names: StateNames, inventory: Inventory) -> Iterator[BootstrapStep]:
    """The resource group, and in it the storage account with the container of the state."""
    group = ("group", "create", "--name", names.group, "--location", names.location)
    yield BootstrapStep(
        f"resource group {names.group} in {names.location}",
        names.group in inventory.groups,
        ((*group, *_tags(names)),),
    )
    named = ("--name", names.account, *_options(ACCOUNT))
    update = (*_words("storage account update"), *named, *_in_group(names))
    create = (*_words("storage account create"), *named, *_words(KIND), *_new_in_group(names))
    exists = bool(inventory.account)
    yield BootstrapStep(
        f"storage account {names.account}: nothing public, no account keys",
        _has(inventory.account, ACCOUNT),
        (update if exists else create,),
        exists,
    )
    keep = (*_words("storage account blob-service-properties update"), *_options(VERSIONS))
    yield BootstrapStep(
        "  its blobs keep former versions and, for 30 days, what is deleted",
        _has(inventory.blobs, VERSIONS),
        ((*keep, "--account-name", names.account, *_in_group(names)),),
        exists,
    )
    container = ("--name", CONTAINER, "--storage-account", names.account)
    yield BootstrapStep(
        f"container {CONTAINER} in it, for Pulumi's state",
        CONTAINER in inventory.containers,
        (("storage", "container-rm", "create", *container, *_in_group(names)),),
    )


def _plan_vault(names: StateNames, inventory: Inventory) -> Iterator[BootstrapStep]:
    """The vault, restored if Azure keeps a deleted one, and its key."""
    if names.vault in inventory.deleted_vaults:
        yield BootstrapStep(
            f"key vault {names.vault}, restored from the deleted ones, with its key",
            False,
            (("keyvault", "recover", "--name", names.vault),),
        )
    else:
        named = ("--name", names.vault, *_options(VAULT))
        update = ("keyvault", "update", *named, *_in_group(names))
        create = ("keyvault", "create", *named, *_words(RETENTION), *_new_in_group(names))
        exists = bool(inventory.vault)
        yield BootstrapStep(
            f"key vault {names.vault}: rights by roles, deleted items kept 90 days",
            _has(inventory.vault, VAULT),
            (update if exists else create,),
            exists,
        )
    # Azure Resource Manager creates the first version of a key only: one that exists stays.
    key = ("--url", f"{names.key_scope}?{KEY_API}")
    body = ("--body", json.dumps({"properties": KEY_PROPERTIES}))
    yield BootstrapStep(
        f"key {KEY} in it, for the secrets in the state",
        KEY in inventory.keys,
        (("rest", "--method", "put", *key, *body),),
    )


def _plan_identity(
    names: StateNames, inventory: Inventory, identity: WorkflowIdentity, subject_prefix: str
) -> Iterator[BootstrapStep]:
    """A managed identity, and the environments of the repository that sign in as it."""
    yield BootstrapStep(
        f"managed identity {identity.name}",
        identity.name in inventory.principals,
        (("identity", "create", "--name", identity.name, *_new_in_group(names)),),
    )
    trust = (*_words(TRUST_GITHUB), "--identity-name", identity.name, *_in_group(names))
    for environment in identity.environments:
        subject = f"{subject_prefix}:environment:{environment}"
        yield BootstrapStep(
            f"  GitHub signs in to it as {subject}",
            (identity.name, environment, subject) in inventory.credentials,
            ((*trust, "--name", environment, "--subject", subject),),
        )


def _plan_roles(
    names: StateNames, inventory: Inventory, identity: WorkflowIdentity
) -> Iterator[BootstrapStep]:
    """The roles of an identity, each on one thing; on a deployed group only if it exists."""
    it = Assignee("it", "ServicePrincipal", ObjectId(identity.name))
    yield _assign(it, identity.state_role, names.container_scope, inventory)
    yield _assign(it, USE_KEY, names.key_scope, inventory)
    for group in names.deployed_groups:
        if group in inventory.groups:
            yield _assign(it, identity.group_role, names.scope_of(group), inventory)
    if names.backup_group in inventory.groups and identity.assigning_role:
        scope = names.scope_of(names.backup_group)
        alone = Constraint("the backups'", BLOB_DATA_CONTRIBUTOR)
        yield _assign(it, identity.assigning_role, scope, inventory, alone)
    chat = names.deployed_groups.chat
    if names.has_schedule and chat in inventory.groups and identity.assigning_role:
        alone = Constraint("the schedule's", POWER_ON_OFF)
        yield _assign(it, identity.assigning_role, names.scope_of(chat), inventory, alone)
    if names.subnet:
        yield _assign(it, "Reader", names.subnet.rpartition("/subnets/")[0], inventory)
        if identity.subnet_role:
            yield _assign(it, identity.subnet_role, names.subnet, inventory)


def _assign(
    assignee: Assignee,
    role: str,
    scope: str,
    inventory: Inventory,
    constraint: Constraint | None = None,
) -> BootstrapStep:
    id_ = assignee.id
    known = id_ if isinstance(id_, str) else inventory.principals.get(id_.identity, "")
    to = ("--assignee-object-id", id_, "--assignee-principal-type", assignee.type)
    type_, name = scope.split("/")[-2:]
    limit: tuple[str, ...] = ()
    what = f"  {assignee.name} may act as {role} on {SCOPES[type_.lower()]} {name}"
    if constraint:
        limit = ("--condition", may_assign(constraint.role), "--condition-version", "2.0")
        what += f", for {constraint.of} role alone"
    return BootstrapStep(
        what,
        (known, role, scope.lower()) in inventory.assignments,
        ((*_words("role assignment create"), "--role", role, "--scope", scope, *to, *limit),),
    )


def plan_teardown(names: StateNames, inventory: Inventory) -> Iterator[BootstrapStep]:
    """What a teardown deletes.

    Roles on what stays come first: without the identity, their owner could not be named any more.
    """
    principals = set(inventory.principals.values())
    for (principal, role, scope), id_ in inventory.assignments.items():
        stays = f"/resourcegroups/{names.group}/".lower() not in f"{scope}/"
        if principal in principals and stays:
            delete = ("role", "assignment", "delete", "--ids", id_)
            yield BootstrapStep(f"the role {role} on {scope}", False, (delete,))
    yield BootstrapStep(
        f"resource group {names.group} with the state, the identities, and the key "
        "(Azure keeps it for 90 days, and the next bootstrap restores it)",
        False,
        (("group", "delete", "--name", names.group, "--yes"),),
    )


def _options(settings: Iterable[AzureSetting]) -> tuple[str, ...]:
    """The options that set them."""
    return tuple(
        word
        for setting in settings
        for word in (setting.option, json.dumps(setting.value).strip('"'))
    )


def _has(found: Mapping[str, Any], settings: Iterable[AzureSetting]) -> bool:
    """Whether what Azure shows has these settings; an empty `found` does not exist."""

    def value(path: str) -> object:
        node: Any = found
        for part in path.split("."):
            node = (node or {}).get(part)
        return node

    return all(value(setting.shown) == setting.value for setting in settings)


def _words(command: str) -> tuple[str, ...]:
    return tuple(command.split())


def run_step(az: AzureCli, names: StateNames, step: BootstrapStep) -> None:
    """Run a step's commands; raises AzError."""

    def argument(word: str | ObjectId) -> str:
        if isinstance(word, str):
            return word
        identity = az.run("identity", "show", "--name", word.identity, *_in_group(names))
        return str(identity["principalId"])

    for command in step.commands:
        words = [argument(word) for word in command]
        # A request to Azure Resource Manager itself names the subscription in its URL.
        run_az(*words) if words[0] == "rest" else az.run(*words)
