"""What of a stack's state, key and identities already exists on Azure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ollamazure.azure.az import AzureCli, run_az
from ollamazure.azure.state_names import StateNames

KEY_API = "api-version=2023-07-01"

RoleAssignment = tuple[str, str, str]
"""The object id of the assignee, the role's name, the ARM id it is on in lower case."""


@dataclass(frozen=True)
class Inventory:
    """What exists; all but the first three are empty while the state's resource group is missing.

    `assignments` are the role assignments of the subscription, with their ARM ids.
    """

    groups: frozenset[str]
    assignments: Mapping[RoleAssignment, str]
    deleted_vaults: frozenset[str]
    accounts: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    vaults: frozenset[str] = frozenset()
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
        accounts = _names(az.run("storage", "account", "list", *here))
        containers = ("storage", "container-rm", "list", "--storage-account", names.account, *here)
        vaults = _names(az.run("keyvault", "list", *here))
        principals = {one["name"]: one["principalId"] for one in az.run("identity", "list", *here)}
        return cls(
            groups,
            assignments,
            deleted,
            accounts,
            _names(az.run(*containers)) if names.account in accounts else frozenset(),
            vaults,
            _list_keys(names) if names.vault in vaults else frozenset(),
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
    """The identity, environment and subject of each sign-in that an identity accepts."""
    listed = az.run("identity", "federated-credential", "list", "--identity-name", identity, *here)
    return [(identity, one["name"], one["subject"]) for one in listed]
