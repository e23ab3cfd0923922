"""Role assignments. Here they decide who uses blobs, and nothing else."""

from __future__ import annotations

import re

from emulator.azure.errors import AzureError
from emulator.azure.identities import principals
from emulator.azure.kinds import PutRequest, ResourceKind, keep, now
from emulator.azure.names import ROLE_ASSIGNMENT, ResourceId
from emulator.azure.store import Body, StoredState

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
BLOB_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
ROLES = {
    BLOB_OWNER: "Storage Blob Data Owner",
    BLOB_CONTRIBUTOR: "Storage Blob Data Contributor",
    BLOB_READER: "Storage Blob Data Reader",
    "12338af0-0e69-4776-bea7-57ae8d297424": "Key Vault Crypto User",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
    "9980e02c-c2be-4d73-94e8-173b1dc7cf3c": "Virtual Machine Contributor",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "40c5ff49-9181-41f8-ae61-143b0e78555e": "Desktop Virtualization Power On Off Contributor",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
}
"""Azure's built-in roles that are known here, by the last part of their ids."""


class RoleAssignment(ResourceKind):
    """A role of a principal on a scope. Only its description and its condition can change."""

    def put(self, request: PutRequest) -> None:
        if not GUID.fullmatch(request.id.name):
            raise AzureError(
                "InvalidRoleAssignmentId",
                f"The role assignment ID '{request.id.name}' is not valid. The role assignment ID"
                " must be a GUID.",
            )
        properties = request.properties
        if role_of(properties) not in ROLES:
            raise AzureError(
                "RoleDefinitionDoesNotExist",
                f"The specified role definition with ID '{role_of(properties)}' does not exist.",
            )
        self._check_principal(request)
        self._check_condition(properties)
        properties["scope"] = str(request.id.scope)
        if request.old:
            self._check_unchanged(request)
        else:
            self._check_new(request)
        keep(request, "createdOn", now)
        properties["updatedOn"] = now()

    def _check_principal(self, request: PutRequest) -> None:
        principal, kind = (request.properties.get(n) for n in ("principalId", "principalType"))
        if not GUID.fullmatch(principal or ""):
            raise AzureError(
                "InvalidPrincipalId",
                f"A valid principal ID must be provided for role assignment. '{principal}' is not"
                " a GUID.",
            )
        if kind is None:
            # Azure finds a new identity only after some minutes; here it never does.
            raise AzureError(
                "PrincipalNotFound",
                f"Principal {principal} does not exist in the directory. Check that you have the"
                " correct principal ID. If you are creating this principal and then immediately"
                " assigning a role, this error might be related to a replication delay. In this"
                " case, set the role assignment principalType property to a value, such as"
                " ServicePrincipal, User, or Group.",
            )
        if kind != "ServicePrincipal" and principal in principals(request.state):
            raise AzureError(
                "UnmatchedPrincipalType",
                f"The PrincipalId '{principal}' has type 'ServicePrincipal', which is different"
                f" from specified PrincipalType '{kind}'.",
            )

    def _check_condition(self, properties: Body) -> None:
        """Check a condition, of whose language only the brackets are known here."""
        condition = properties.get("condition")
        if condition is None:
            return
        version = properties.setdefault("conditionVersion", "2.0")
        outside_texts = re.sub(r"'[^']*'", "", condition)
        pairs = [(outside_texts.count(one), outside_texts.count(two)) for one, two in ("()", "{}")]
        if version != "2.0" or not condition.strip() or any(one != two for one, two in pairs):
            # Source: learn.microsoft.com/azure/role-based-access-control/conditions-troubleshoot
            raise AzureError("BadRequest", "The given role assignment condition is invalid.")

    def _check_unchanged(self, request: PutRequest) -> None:
        old, new = request.old_properties, request.properties
        if any(old[name] != new[name] for name in ("principalId", "roleDefinitionId")):
            raise AzureError(
                "RoleAssignmentUpdateNotPermitted",
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
            )

    def _check_new(self, request: PutRequest) -> None:
        new = request.properties
        for _, other in request.state.of_type(ROLE_ASSIGNMENT):
            properties = other["properties"]
            if (
                properties["scope"].lower() == new["scope"].lower()
                and properties["principalId"] == new["principalId"]
                and role_of(properties) == role_of(new)
            ):
                raise AzureError(
                    "RoleAssignmentExists",
                    "The role assignment already exists. The ID of the existing role assignment is"
                    f" {other['name'].replace('-', '')}.",
                    status=409,
                )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)


def role_of(properties: Body) -> str:
    """The GUID of the assigned role."""
    role: str = properties["roleDefinitionId"].rpartition("/")[2].lower()
    return role
