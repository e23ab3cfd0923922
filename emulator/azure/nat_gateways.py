"""NAT gateways: the way to the internet for subnets whose machines have no public address."""

from __future__ import annotations

from collections.abc import Collection

from emulator.azure.addresses import check_public_address
from emulator.azure.errors import AzureError
from emulator.azure.kinds import (
    PutRequest,
    ResourceKind,
    check_zones,
    keep,
    merge_defaults,
    new_guid,
    require_unchanged_zones,
    users_of,
)
from emulator.azure.names import ResourceId, check_network_name
from emulator.azure.store import Body, StoredState


class NatGateway(ResourceKind):
    """A Standard NAT gateway with its public addresses. Subnets refer to it."""

    def put(self, request: PutRequest) -> None:
        check_network_name(request.id.name)
        check_zones(request)
        require_unchanged_zones(request)
        for reference in request.properties.get("publicIpAddresses") or []:
            check_public_address(request, str(request.id), reference)
        merge_defaults(request.body, {"properties": {"idleTimeoutInMinutes": 4}})
        keep(request, "resourceGuid", new_guid)

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        users = users_of(state, id_, leaving)
        if users:
            raise AzureError(
                "InUseNatGatewayCannotBeDeleted",
                f"Nat gateway {id_} cannot be deleted because it is in use by the following"
                f" resources: {', '.join(users)}. In order to delete the Nat gateway, remove the"
                " association with the resource(s).",
            )

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        users = users_of(state, id_)
        if users:
            body["properties"]["subnets"] = [{"id": each} for each in users]
