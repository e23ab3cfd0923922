"""The names and ARM ids of what the workflows of a stack need on Azure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ollamazure.names import GroupNames, group_names, state_group_name
from ollamazure.settings.problems import NAMESPACE

CONTAINER = KEY = "state"
READ_STATE, WRITE_STATE = "Storage Blob Data Reader", "Storage Blob Data Contributor"
USE_KEY = "Key Vault Crypto User"
# With a condition, see bootstrap_steps.py: Contributor allows no role assignments.
ASSIGN_ROLES = "Role Based Access Control Administrator"
# On a subnet it only allows machines to join it (virtualNetworks/subnets/join/action).
JOIN_SUBNET = "Virtual Machine Contributor"


@dataclass(frozen=True)
class WorkflowIdentity:
    """A managed identity: the environments of the repository that sign in as it, and its roles."""

    name: str
    environments: tuple[str, ...]
    state_role: str
    group_role: str
    subnet_role: str | None = None
    assigning_role: str | None = None


@dataclass(frozen=True)
class StateNames:
    """The names for one stack in one subscription, the same at every run.

    The storage account and the vault need names that are unique in all of Azure: they contain a
    digest of subscription and stack. `subnet` is the ARM id of an existing subnet, if there is one,
    `backup_group` the resource group with backups in Azure, if there are any; `has_schedule`
    whether Azure stops and starts the machine.
    """

    subscription: str
    stack: str
    location: str
    subnet: str | None = None
    backup_group: str | None = None
    has_schedule: bool = False

    @property
    def group(self) -> str:
        """The resource group of the state, the key and the identities."""
        return state_group_name(NAMESPACE, self.stack)

    @property
    def deployed_groups(self) -> GroupNames:
        """The groups that `pulumi up` creates."""
        return group_names(NAMESPACE, self.stack)

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
    def identities(self) -> tuple[WorkflowIdentity, WorkflowIdentity]:
        # Azure allows no . in the name of an identity.
        name, stack = self.deployed_groups.chat.replace(".", "_"), self.stack
        reading = (f"{stack}-preview", f"{stack}-drift")
        return (
            WorkflowIdentity(
                f"{name}-deploy",
                (stack,),
                WRITE_STATE,
                "Contributor",
                JOIN_SUBNET,
                ASSIGN_ROLES,
            ),
            WorkflowIdentity(f"{name}-preview", reading, READ_STATE, "Reader"),
        )

    def scope_of(self, group: str) -> str:
        """The ARM id of a resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{group}"

    @property
    def container_scope(self) -> str:
        account = f"providers/Microsoft.Storage/storageAccounts/{self.account}"
        return f"{self.scope_of(self.group)}/{account}/blobServices/default/containers/{CONTAINER}"

    @property
    def keys(self) -> str:
        """The ARM id of all keys of the vault."""
        vault = f"providers/Microsoft.KeyVault/vaults/{self.vault}"
        return f"{self.scope_of(self.group)}/{vault}/keys"

    @property
    def key_scope(self) -> str:
        return f"{self.keys}/{KEY}"

    @property
    def backend(self) -> str:
        """The argument of `pulumi login`."""
        return f"azblob://{CONTAINER}?storage_account={self.account}"

    @property
    def secrets_provider(self) -> str:
        """The argument of `pulumi stack init --secrets-provider`."""
        return f"azurekeyvault://{self.vault}.vault.azure.net/keys/{KEY}"
