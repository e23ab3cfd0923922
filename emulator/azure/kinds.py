"""What all resource types have in common, and how resources refer to each other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emulator.azure.errors import AzureError, invalid_parameter
from emulator.azure.names import GROUP, ResourceId
from emulator.azure.store import Body, StoredState


@dataclass(frozen=True)
class PutRequest:
    """A PUT whose body fits its type's shape, and the state that it meets.

    `body` may be changed; `old` is the existing resource with this id, if there is one. `address`
    returns the stand-in for the n-th public address.
    """

    id: ResourceId
    body: Body
    old: Body | None
    state: StoredState
    address: Callable[[int], str]

    @property
    def properties(self) -> Body:
        properties: Body = self.body.setdefault("properties", {})
        return properties

    @property
    def old_properties(self) -> Body:
        return self.old.get("properties", {}) if self.old else {}

    @property
    def region(self) -> str:
        region: str = self.body["location"]
        return region


class ResourceKind:
    """The rules of one resource type. This base class has no rules."""

    def put(self, request: PutRequest) -> None:
        """Check the request and complete its body with what Azure fills in. Raises AzureError."""

    def check_delete(self, state: StoredState, id_: ResourceId, leaving: Collection[str]) -> None:
        """Refuse to delete a resource that is used by one not in `leaving`. Raises AzureError."""

    def after_deletion(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        """Do what follows from the deletion, once that has succeeded."""

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        """Add to a copy of the stored body what only a GET shows."""


def forget_below(state: StoredState, id_: ResourceId) -> None:
    """Remove what is deleted together with a resource: its children and its extensions."""
    for key in [key for key in state.resources if key.startswith(f"{id_.key}/")]:
        del state.resources[key]
        state.operations.pop(key, None)


def merge_defaults(body: Body, defaults: Body) -> None:
    """Fill in what is missing (or null) in `body`, also in nested objects."""
    for name, value in defaults.items():
        if body.get(name) is None:
            body[name] = value
        elif isinstance(value, dict) and isinstance(body[name], dict):
            merge_defaults(body[name], value)


def keep(request: PutRequest, name: str, fresh: Callable[[], Any]) -> None:
    """Set a property that Azure chooses once and keeps, such as a GUID or a time."""
    request.properties[name] = request.old_properties.get(name) or fresh()


def new_guid() -> str:
    return str(uuid.uuid4())


def etag() -> str:
    """A network resource's mark of its version."""
    return f'W/"{new_guid()}"'


def now() -> str:
    """The time, as ARM writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def require(request: PutRequest, *path: str) -> Any:
    """The value of a required property. Raises InvalidParameter, as compute does."""
    node: Any = request.properties
    for name in path:
        node = (node or {}).get(name)
    if node in (None, "", []):
        name = ".".join(path)
        raise invalid_parameter(f"Required parameter '{name}' is missing (null).", name)
    return node


REFERENCES = (
    *("delegatedSubnetResourceId", "privateDnsZoneArmResourceId", "privateDnsZoneId"),
    "vnetSubnetID",
)
"""Properties that refer to another resource by a bare id."""


def references_of(key: str, body: Body) -> Iterator[tuple[str, str]]:
    """The references of a resource: pairs of the referring part's id and the lower-cased target id.

    The referring part is the resource, or a part of it that has an id, as IP configurations have.
    """
    yield from _references_in(body["id"], key, body.get("properties", {}))


def _references_in(part: str, key: str, node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for item in node:
            yield from _references_in(part, key, item)
    elif isinstance(node, dict):
        for name in ("id", *REFERENCES):
            target = node.get(name)
            if not isinstance(target, str) or not target.startswith("/"):
                continue
            if target.lower() == key or target.lower().startswith(f"{key}/"):
                part = target
            else:
                yield part, target.lower()
        for inner in node.values():
            yield from _references_in(part, key, inner)


def users_of(state: StoredState, target: ResourceId, leaving: Collection[str] = ()) -> list[str]:
    """Ids of everything that refers to `target`, except the resources in `leaving`."""
    return [
        part
        for key, body in state.resources.items()
        if key not in leaving and key != target.key
        for part, used in references_of(key, body)
        if used == target.key
    ]


def refer(request: PutRequest, reference: Body | None, type_: str) -> Body | None:
    """The network resource that a reference names. Raises InvalidResourceReference."""
    if reference is None or reference.get("id") is None:
        return None
    target = ResourceId.parse(reference["id"])
    found = request.state.resources.get(target.key)
    if found is None or found["type"].lower() != type_.lower():
        raise _not_found(request, target)
    elsewhere = target.subscription.lower() != request.id.subscription.lower()
    if elsewhere or found.get("location", request.region) != request.region:
        raise _not_found(request, target)
    return found


def find(state: StoredState, text: str, type_: str, name: str) -> ResourceId:
    """The id of a resource of that type, which exists. Raises InvalidResourceReference."""
    id_ = ResourceId.parse(text)
    found = state.resources.get(id_.key)
    if found is None or found["type"] != type_:
        raise AzureError(
            "InvalidResourceReference",
            f"Resource {id_} referenced by property '{name}' was not found.",
            target=name,
        )
    return id_


def put_beside(request: PutRequest, kind: ResourceKind, id_: ResourceId, body: Body) -> None:
    """Put another resource that the PUT creates or changes, such as a network's subnet."""
    old = request.state.resources.get(id_.key)
    kind.put(PutRequest(id_, body, old, request.state, request.address))
    body |= {"id": str(id_), "name": id_.name, "type": id_.type}
    if id_.type.startswith("Microsoft.Network/"):
        body["etag"] = etag()
    body["properties"]["provisioningState"] = "Succeeded"
    request.state.resources[id_.key] = body


def _not_found(request: PutRequest, target: ResourceId) -> AzureError:
    return AzureError(
        "InvalidResourceReference",
        f"Resource {target} referenced by resource {request.id} was not found. Please make sure"
        " that the referenced resource exists, and that both resources are in the same region.",
    )


def require_parent(state: StoredState, id_: ResourceId) -> None:
    """Check that the parent exists. Raises ResourceGroupNotFound or ResourceNotFound."""
    group = ResourceId(id_.subscription, id_.group, GROUP, (id_.group,))
    for container in (group, id_.parent):
        if container.key not in state.resources:
            raise not_found(container)


def not_found(id_: ResourceId) -> AzureError:
    """ARM's answer to a GET of a resource that does not exist."""
    if id_.type == GROUP:
        return AzureError(
            "ResourceGroupNotFound", f"Resource group '{id_.name}' could not be found.", status=404
        )
    return AzureError(
        "ResourceNotFound",
        f"The Resource '{id_.type}/{'/'.join(id_.names)}' under resource group '{id_.group}' was"
        " not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        status=404,
    )


def require_unchanged_zones(request: PutRequest) -> None:
    """Check that zones stay as they were. Raises ResourceAvailabilityZonesCannotBeModified."""
    if request.old and request.old.get("zones") != request.body.get("zones"):
        raise AzureError(
            "ResourceAvailabilityZonesCannotBeModified",
            f"Resource {request.id} has an existing availability zone constraint"
            f" {', '.join(request.old.get('zones') or ['none'])} and the request has availability"
            f" zone constraint {', '.join(request.body.get('zones') or ['none'])}, which do not"
            " match. Zones cannot be added/updated/removed once the resource is created.",
            target="zones",
        )


def check_zones(request: PutRequest) -> None:
    """Check that zones are 1, 2 or 3. Raises InvalidAvailabilityZone."""
    for zone in request.body.get("zones") or []:
        if zone not in ("1", "2", "3"):
            raise AzureError(
                "InvalidAvailabilityZone",
                f"The zone(s) '{zone}' for resource '{request.id}' is not supported. The supported"
                f" zones for location '{request.region}' are '1,2,3'",
                target="zones",
            )


def duplicate_name(owner: ResourceId, name: str) -> AzureError:
    return AzureError(
        "DuplicateResourceName",
        f"Resource {owner} has two child resources with the same name ({name}).",
    )
