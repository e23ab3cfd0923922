"""Adds to a stack's state what a killed run had started to create.

Pulumi notes each operation in the state when it starts, and removes the note when it ends. After a
kill only the note is left: the resource may exist in Azure, whose worker goes on without its
caller, and a new run would fail because it cannot create what exists. So each noted creation is
looked up in Azure: what exists is adopted, the rest is dropped. Nothing is ever deleted.
"""

from __future__ import annotations

import contextlib
import copy
from datetime import UTC, datetime
from typing import Any

from emulator.azure.errors import AzureError
from emulator.azure.names import SUBSCRIPTION
from emulator.azure.service import Azure
from emulator.instance import Instance
from emulator.plugins.azure_types import TYPES

Exported = dict[str, Any]


def resolve_pending(exported: Exported, instance: Instance) -> Exported:
    """An exported stack (`pulumi stack export`) without pending operations, for `stack import`.

    Waits for operations that Azure has not finished. Secrets stay encrypted as in the export. A
    resource whose creation failed is adopted with that failure: the next run updates it.
    """
    settled = copy.deepcopy(exported)
    deployment = settled["deployment"]
    azure = Azure(instance)
    for operation in deployment.pop("pending_operations", None) or []:
        if operation["type"] == "creating":
            adopted = _adopt(azure, deployment, operation["resource"])
            if adopted is not None:
                _insert(deployment["resources"], adopted)
    return settled


def _adopt(azure: Azure, deployment: Exported, noted: Exported) -> Exported | None:
    """The noted resource in the form of the state; None if Azure does not have it."""
    native = TYPES.get(noted["type"])
    inputs = noted.get("inputs", {})
    if native is None or not all(isinstance(inputs.get(name), str) for name in native.path_names):
        return None
    resource_id = native.id(inputs, _subscription(deployment, noted))
    begun = azure.operation(resource_id)
    with contextlib.suppress(AzureError):  # a failure is in the resource itself
        azure.wait(begun.id if begun else None)
    try:
        body = azure.get(resource_id)
    except AzureError:
        return None
    now = datetime.now(UTC).isoformat()
    adopted = {
        **noted,
        "id": body["id"],
        "outputs": native.outputs_of(body),
        "created": now,
        "modified": now,
    }
    if body["properties"].get("provisioningState") == "Failed":
        adopted["initErrors"] = ["Azure could not finish creating it"]
    return adopted


def _subscription(deployment: Exported, noted: Exported) -> str:
    """The subscription in the configuration of the resource's provider."""
    provider, _, _ = noted.get("provider", "").rpartition("::")
    for resource in deployment.get("resources", []):
        if resource["urn"] == provider:
            return str(resource.get("inputs", {}).get("subscriptionId", SUBSCRIPTION))
    return SUBSCRIPTION


def _insert(resources: list[Exported], adopted: Exported) -> None:
    """Insert the resource in place of the one it replaces, else last, after all that it needs."""
    for index, former in enumerate(resources):
        if former["urn"] == adopted["urn"] and not former.get("delete"):
            resources[index] = adopted
            if not former.pop("pendingReplacement", False):
                resources.append({**former, "delete": True})
            return
    resources.append(adopted)
