"""Microsoft.Resources: resource groups."""

from __future__ import annotations

from collections.abc import Collection

from emulator.azure.errors import AzureError
from emulator.azure.kinds import PutRequest, ResourceKind, forget_below, references_of
from emulator.azure.names import VAULT, ResourceId, check_group_name
from emulator.azure.store import Body, StoredState
from emulator.azure.vaults import soft_delete


class ResourceGroup(ResourceKind):
    """A resource group. Deleting it deletes its contents, unless something outside uses them."""

    def put(self, request: PutRequest) -> None:
        check_group_name(request.id.name)

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        inside = set(contents(state, id_))
        for key, body in state.resources.items():
            if key in inside or key == id_.key:
                continue
            for _, used in references_of(key, body):
                if used in inside:
                    raise AzureError(
                        "ResourceGroupDeletionBlocked",
                        f"Deletion of resource group '{id_.name}' failed as resources with"
                        f" identifiers '{state.resources[used]['id']}' could not be deleted: it is"
                        f" used by {body['id']}. The provisioning state of the resource group will"
                        " be rolled back.",
                        status=409,
                    )

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        for key, vault in list(state.of_type(VAULT)):
            if key.startswith(f"{id_.key}/"):
                soft_delete(state, ResourceId.parse(vault["id"]), vault)
        forget_below(state, id_)


def contents(state: StoredState, group: ResourceId) -> list[str]:
    """Keys of everything in the group."""
    return [key for key in state.resources if key.startswith(f"{group.key}/")]
