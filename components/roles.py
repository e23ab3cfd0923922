"""Roles of managed identities."""

from __future__ import annotations

import uuid

import pulumi
from pulumi_azure_native import authorization


def assign_role(  # noqa: PLR0913  what a role assignment consists of, all by name but one
    name: str,
    *,
    role: str,
    scope: pulumi.Input[str],
    subscription: str,
    principal_id: pulumi.Input[str],
    seed: str,
    opts: pulumi.ResourceOptions,
) -> authorization.RoleAssignment:
    """A role of an identity.

    Args:
        name: of the resource.
        role: Azure's id of the role.
        scope: the ARM id of what it is for.
        subscription: the id of the subscription.
        principal_id: of the identity.
        seed: tells this assignment of the role from all others in Azure.
        opts: of the resource; `parent` above all.
    """
    roles = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions"
    # Azure requires a GUID. The same stack always has the same one.
    guid = uuid.uuid5(uuid.NAMESPACE_URL, f"{seed}/{role}".lower())
    return authorization.RoleAssignment(
        name,
        role_assignment_name=str(guid),
        scope=scope,
        role_definition_id=f"{roles}/{role}",
        principal_id=principal_id,
        # Without it, Azure looks for the new identity where it arrives some time later.
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True)),
    )
