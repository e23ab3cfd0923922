"""Managed identities: as resources of their own, and on machines."""

from __future__ import annotations

import re

from emulator.azure.errors import AzureError
from emulator.azure.kinds import PutRequest, ResourceKind, forget_below, keep, new_guid
from emulator.azure.names import FEDERATED_CREDENTIAL, IDENTITY, ResourceId
from emulator.azure.store import Body, StoredState

TENANT = "00000000-0000-0000-0000-000000000000"
"""The emulated directory, in which every identity is."""

MOST_CREDENTIALS = 20
"""Federated credentials of one identity."""


class UserAssignedIdentity(ResourceKind):
    """An identity that machines can have. It may be deleted while a machine has it."""

    def put(self, request: PutRequest) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w-]{2,127}", request.id.name, re.ASCII):
            raise AzureError(
                "BadRequest",
                f"The resource name '{request.id.name}' is invalid. A name has 3 to 128 letters,"
                " digits, '_' and '-', and starts with a letter or a digit.",
            )
        keep(request, "principalId", new_guid)
        keep(request, "clientId", new_guid)
        request.properties["tenantId"] = TENANT

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        forget_below(state, id_)

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)


class FederatedCredential(ResourceKind):
    """A sign-in as a managed identity by tokens of another issuer.

    Source of the messages: learn.microsoft.com/entra/workload-id, "Important considerations and
    restrictions for federated identity credentials"; of the code of a second one with the same
    issuer and subject, reports of 2026.
    """

    def put(self, request: PutRequest) -> None:
        name, properties = request.id.name, request.properties
        if not re.fullmatch(r"[A-Za-z0-9][\w-]{2,119}", name, re.ASCII):
            raise AzureError(
                "BadRequest", f"Federated Identity Credential name '{name}' is invalid."
            )
        if not all(properties.get(each) for each in ("issuer", "subject", "audiences")):
            raise AzureError(
                "BadRequest", "Federated Identity Credential from HTTP body has empty properties"
            )
        if len(properties["audiences"]) != 1:
            raise AzureError(
                "BadRequest", "Federated identity credentials must have exactly one audience."
            )
        inside = f"{request.id.parent.key}/"
        others = [
            body["properties"]
            for key, body in request.state.of_type(FEDERATED_CREDENTIAL)
            if key.startswith(inside) and key != request.id.key
        ]
        token = (properties["issuer"], properties["subject"])
        if token in {(each["issuer"], each["subject"]) for each in others}:
            raise AzureError(
                "Conflict",
                "Issuer and subject combination already exists for this Managed Identity.",
                status=409,
            )
        if len(others) >= MOST_CREDENTIALS:
            raise AzureError(
                "BadRequest",
                f"A maximum of {MOST_CREDENTIALS} federated identity credentials can be added to a"
                " user-assigned managed identity.",
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)


def check_identity(request: PutRequest) -> None:
    """Check and complete a machine's identity. A PUT without one leaves it as it is.

    Raises AzureError.
    """
    old = request.old or {}
    identity: Body | None = request.body.get("identity") or old.get("identity")
    if identity is None:
        return
    request.body["identity"] = identity
    wanted = identity.get("userAssignedIdentities") or {}
    if bool(wanted) != (identity["type"] == "UserAssigned"):
        raise AzureError(
            "InvalidIdentityTypeForUserAssignedIdentities"
            if wanted
            else "MissingUserAssignedIdentities",
            f"The identity type '{identity['type']}' of resource '{request.id}' and its"
            f" {len(wanted)} user assigned identities do not fit together.",
        )
    if identity["type"] == "None":
        del request.body["identity"]
        return
    if identity["type"] == "SystemAssigned":
        identity["principalId"] = (old.get("identity") or {}).get("principalId") or new_guid()
        identity["tenantId"] = TENANT
    identity_ids = [ResourceId.parse(each) for each in wanted]
    for id_ in identity_ids:
        _check_exists(request, id_)
    if identity_ids:
        identity["userAssignedIdentities"] = {str(id_): {} for id_ in identity_ids}


def _check_exists(request: PutRequest, id_: ResourceId) -> None:
    former = ((request.old or {}).get("identity") or {}).get("userAssignedIdentities") or {}
    found = request.state.resources.get(id_.key)
    if (found is None and str(id_) not in former) or id_.type.lower() != IDENTITY.lower():
        raise AzureError(
            "FailedIdentityOperation",
            f"Identity operation for resource '{request.id}' failed with error 'Failed to perform"
            f" resource identity operation. Status: 'BadRequest'. Response: 'Resource '{id_}' was"
            " not found.''.",
        )


def show_identity(state: StoredState, body: Body) -> None:
    """Add to a machine's view the ids of its identities in the directory."""
    for resource_id, shown in (
        (body.get("identity") or {}).get("userAssignedIdentities", {}).items()
    ):
        found = state.resources.get(resource_id.lower())
        if found is not None:
            properties = found["properties"]
            shown |= {name: properties[name] for name in ("principalId", "clientId")}


def principals(state: StoredState) -> set[str]:
    """The principal ids of all identities, which are service principals of the directory."""
    own = {body["properties"]["principalId"] for _, body in state.of_type(IDENTITY)}
    of_machines = {
        principal
        for body in state.resources.values()
        if (principal := (body.get("identity") or {}).get("principalId"))
    }
    return own | of_machines
