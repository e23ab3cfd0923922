"""What a killed run had begun to create, taken into its stack's state.

Pulumi notes in the state what it begins and forgets it when it ends. After a kill the note is all
there is: the resource may exist in Azure (whose worker goes on without its caller), and a new run
would answer that it cannot create what exists. So each noted creation is settled with Azure: what
exists is adopted, the rest forgotten. Nothing is ever deleted.
"""

from __future__ import annotations

import contextlib
import copy
from datetime import UTC, datetime
from typing import Any

from emulator.azure.errors import AzureError
from emulator.azure.service import Azure
from emulator.instance import Instance
from emulator.plugins.azure_native import SUBSCRIPTION
from emulator.plugins.azure_types import TYPES

Exported = dict[str, Any]


def resolve_pending(exported: Exported, instance: Instance) -> Exported:
    """An exported stack (`pulumi stack export`) with no operation pending, to be imported again.

    Waits for what Azure is still making. Secrets stay encrypted, as they are in the export. A
    resource whose creation failed is adopted with that failure: the next run updates it.
    """
    settled = copy.deepcopy(exported)
    deployment = settled["deployment"]
    azure = Azure(instance)
    for operation in deployment.pop("pending_operations", None) or []:
        if operation["type"] == "creating":
            adopted = _adopted(azure, deployment, operation["resource"])
            if adopted is not None:
                _insert(deployment["resources"], adopted)
    return settled


def _adopted(azure: Azure, deployment: Exported, noted: Exported) -> Exported | None:
    """The noted resource as the state would hold it, if Azure has it."""
    native = TYPES.get(noted["type"])
    inputs = noted.get("inputs", {})
    if native is None or not all(isinstance(inputs.get(name), str) for name in native.path):
        return None
    resource_id = native.id(inputs, _subscription(deployment, noted))
    begun = azure.operation(resource_id)
    with contextlib.suppress(AzureError):  # what failed shows in what there is
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
    if body["properties"]["provisioningState"] == "Failed":
        adopted["initErrors"] = ["Azure could not finish creating it"]
    return adopted


def _subscription(deployment: Exported, noted: Exported) -> str:
    """The subscription that the resource's provider was configured with."""
    provider, _, _ = noted.get("provider", "").rpartition("::")
    for resource in deployment.get("resources", []):
        if resource["urn"] == provider:
            return str(resource.get("inputs", {}).get("subscriptionId", SUBSCRIPTION))
    return SUBSCRIPTION


def _insert(resources: list[Exported], adopted: Exported) -> None:
    """Put the resource in the place of the one it replaces, else last, after all it needs."""
    for index, former in enumerate(resources):
        if former["urn"] == adopted["urn"] and not former.get("delete"):
            resources[index] = adopted
            if not former.pop("pendingReplacement", False):
                resources.append({**former, "delete": True})
            return
    resources.append(adopted)
