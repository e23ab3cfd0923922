"""What of a stack's state, key and identities already exists on Azure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ollamazure.azure.az import AzureCli, run_az
from ollamazure.azure.state_names import StateNames

KEY_API = "api-version=2023-07-01"
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
AZURE_AUDIENCE = "api://AzureADTokenExchange"

RoleAssignment = tuple[str, str, str]
"""The object id of the assignee, the role's name, the ARM id it is on in lower case."""


@dataclass(frozen=True)
class Inventory:
    """What exists; all but the first three are empty while the state's resource group is missing.

    Attributes:
        groups: the names of the subscription's resource groups.
        assignments: the role assignments of the subscription, with their ARM ids.
        deleted_vaults: the names of the vaults that Azure keeps after their deletion.
        account: the storage account as `az` shows it; empty if there is none.
        blobs: how its blobs are kept.
        containers: their names.
        vault: the vault as `az` shows it; empty if there is none.
        keys: the names of the keys in it.
        principals: the object id of each managed identity.
        credentials: the identity, environment and subject of each sign-in by GitHub.
    """

    groups: frozenset[str]
    assignments: Mapping[RoleAssignment, str]
    deleted_vaults: frozenset[str]
    account: Mapping[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, Any] = field(default_factory=dict)
    containers: frozenset[str] = frozenset()
    vault: Mapping[str, Any] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    principals: Mapping[str, str] = field(default_factory=dict)
    credentials: frozenset[tuple[str, str, str]] = frozenset()

    @classmethod
    def query(cls, az: AzureCli, names: StateNames) -> Inventory:
        """What Azure reports; raises AzError."""
        groups = _names(az.run("group", "list"))
        listed = az.run("role", "assignment", "list", "--all", "--fill-principal-name", "false")
        assignments = {
            (one["principalId"], one["roleDefinitionName"], one["scope"].lower()): one["id"]
            for one in listed
        }
        deleted = _names(az.run("keyvault", "list-deleted", "--resource-type", "vault"))
        if names.group not in groups:
            return cls(groups, assignments, deleted)
        here = ("--resource-group", names.group)
        accounts = {one["name"]: one for one in az.run("storage", "account", "list", *here)}
        account = accounts.get(names.account, {})
        blobs = ("storage", "account", "blob-service-properties", "show")
        containers = ("storage", "container-rm", "list", "--storage-account", names.account, *here)
        has_vault = names.vault in _names(az.run("keyvault", "list", *here))
        principals = {one["name"]: one["principalId"] for one in az.run("identity", "list", *here)}
        return cls(
            groups,
            assignments,
            deleted,
            account,
            az.run(*blobs, "--account-name", names.account, *here) if account else {},
            _names(az.run(*containers)) if account else frozenset(),
            az.run("keyvault", "show", "--name", names.vault, *here) if has_vault else {},
            _list_keys(names) if has_vault else frozenset(),
            principals,
            frozenset(
                credential for name in principals for credential in _credentials(az, name, here)
            ),
        )


def _names(items: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(item["name"] for item in items)


def _list_keys(names: StateNames) -> frozenset[str]:
    answer = run_az("rest", "--method", "get", "--url", f"{names.keys}?{KEY_API}")
    return _names(answer["value"])


def _credentials(az: AzureCli, identity: str, here: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """The identity, environment and subject of each sign-in by GitHub that an identity accepts."""
    listed = az.run("identity", "federated-credential", "list", "--identity-name", identity, *here)
    by_github = (GITHUB_ISSUER, [AZURE_AUDIENCE])
    return [
        (identity, one["name"], one["subject"])
        for one in listed
        if (one["issuer"], one["audiences"]) == by_github
    ]
