"""Azure as its callers see it: PUT, GET, DELETE, list and actions on ARM ids and bodies.

A PUT or DELETE is checked at once and then carried out by the worker, a separate process, so that
it goes on when its caller dies. Callers wait for the operation.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.azure import worker
from emulator.azure.errors import AzureError, invalid_parameter
from emulator.azure.fabric import Fabric, NullFabric
from emulator.azure.faults import Fault, Faults
from emulator.azure.kinds import PutRequest, etag, new_guid, not_found, now, require_parent
from emulator.azure.names import GROUP, MACHINE, ResourceId
from emulator.azure.offers import offers
from emulator.azure.power import ACTIONS, DEALLOCATED, instance_view, power_state
from emulator.azure.providers import KINDS, SECRETS
from emulator.azure.shapes import (
    ResourceType,
    check_body,
    check_newer,
    check_version,
    remove_newer,
    resource_type,
    without_read_only,
)
from emulator.azure.store import Body, LongRunningOperation, Store, StoredState
from emulator.instance import Instance, in_plan_mode

_BOOT = Path("/proc/sys/kernel/random/boot_id")

POLL = 0.1
"""Seconds between two checks of an operation."""


@dataclass(frozen=True)
class Conditions:
    """The conditions of a request: the headers If-Match and If-None-Match; "*" is any version."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, existing: Body | None) -> None:
        """Check what exists against the conditions. Raises PreconditionFailed."""
        etags = {"*", existing.get("etag", "")} if existing else set()
        missed = self.if_match is not None and self.if_match not in etags
        if missed or (self.if_none_match is not None and self.if_none_match in etags):
            raise AzureError(
                "PreconditionFailed",
                "Precondition failed: the resource does not have the version that the request"
                " names, or it exists although the request wants to create it.",
                status=412,
            )


NO_CONDITIONS = Conditions()


class Azure:
    """One emulated Azure.

    `fabric` carries operations out; the default is the host, or nothing in plan mode. The worker
    chooses by the environment, so `fabric` must be the one that the worker chooses.
    """

    def __init__(self, instance: Instance, fabric: Fabric | None = None) -> None:
        self._instance = instance
        self._instant = isinstance(fabric, NullFabric) or (fabric is None and in_plan_mode())
        self.folder = instance.home / "azure"
        self.store = Store(self.folder)
        self.faults = Faults(self.folder)

    def put(
        self,
        resource_id: str,
        body: Body,
        api_version: str | None = None,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> str:
        """Create or replace a resource; returns the operation to wait for. Raises AzureError."""
        if api_version is not None:
            check_newer(parse_known(resource_id, api_version)[1], body, api_version)
        return self._put(resource_id, lambda _: body, api_version, conditions)

    def change(
        self,
        resource_id: str,
        make_body: Callable[[Body], Body],
        api_version: str | None = None,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> str:
        """Put what `make_body` makes of a resource as a GET shows it; nothing happens in between.

        Returns the operation. Raises AzureError.
        """

        def change(shown: Body | None) -> Body:
            if shown is None:
                raise not_found(ResourceId.parse(resource_id))
            return make_body(shown)

        return self._put(resource_id, change, api_version, conditions)

    def _put(
        self,
        resource_id: str,
        make_body: Callable[[Body | None], Body],
        api_version: str | None,
        conditions: Conditions,
    ) -> str:
        """Put what `make_body` makes of the resource as a GET shows it, None if there is none."""
        id_, type_ = parse_known(resource_id, api_version)
        hit = self.faults.take("put", id_)
        with self.store.change() as state:
            _check_registered(state, type_)
            _check_idle(state, id_)
            old = state.resources.get(id_.key)
            conditions.check(old)
            body = make_body(view(state, id_) if old else None)
            complete = self._complete(state, id_, type_, body, old)
            if old and _is_resize(old, complete):
                hit += self.faults.take("resize", id_)
            _raise_early("put", hit, id_, complete)
            complete["properties"]["provisioningState"] = "Updating" if old else "Creating"
            state.resources[id_.key] = complete
            return self._begin(state, "put", id_, hit, creates=old is None)

    def delete(
        self,
        resource_id: str,
        api_version: str | None = None,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> str | None:
        """Delete a resource; returns the operation, or None if there was none (Azure's 204).

        Raises AzureError.
        """
        id_, type_ = parse_known(resource_id, api_version)
        hit = self.faults.take("delete", id_)
        with self.store.change() as state:
            body = state.resources.get(id_.key)
            if body is None:
                return None
            _check_idle(state, id_)
            conditions.check(body)
            KINDS[type_.name].check_delete(state, id_, ())
            _raise_early("delete", hit, id_, body)
            body["properties"]["provisioningState"] = "Deleting"
            return self._begin(state, "delete", id_, hit)

    def get(
        self, resource_id: str, api_version: str | None = None, *, expand: str | None = None
    ) -> Body:
        """The resource as a GET of that API version shows it (None: the newest one).

        `expand` may be `instanceView`, of a machine: it adds whether the machine runs.

        Raises AzureError, with 404 when it does not exist.
        """
        id_, type_ = parse_known(resource_id, api_version)
        if expand is not None and (type_.name, expand) != (MACHINE, "instanceView"):
            raise invalid_parameter(f"The value '{expand}' of $expand is invalid.", "$expand")
        state = self.store.read()
        if id_.key not in state.resources:
            raise not_found(id_)
        shown = view(state, id_)
        if api_version is not None:
            remove_newer(type_, shown, api_version)
        if expand:
            shown["properties"]["instanceView"] = instance_view(state.resources[id_.key])
        return shown

    def list(self, type_name: str, api_version: str | None = None) -> list[Body]:
        """All resources of a type, as GETs of that API version show them. Raises AzureError."""
        type_ = resource_type(type_name)
        if api_version is not None:
            check_version(type_.name, api_version)
        state = self.store.read()
        shown = [view(state, ResourceId.parse(body["id"])) for _, body in state.of_type(type_.name)]
        if api_version is not None:
            for body in shown:
                remove_newer(type_, body, api_version)
        return shown

    def action(self, resource_id: str, name: str, api_version: str | None = None) -> str:
        """Start, restart, powerOff or deallocate a machine; returns the operation."""
        id_, type_ = parse_known(resource_id, api_version)
        if type_.name != MACHINE or name.lower() not in ACTIONS:
            raise _no_action(name, type_)
        with self.store.change() as state:
            body = state.resources.get(id_.key)
            if body is None:
                raise not_found(id_)
            _check_idle(state, id_)
            if power_state(body) not in ACTIONS[name.lower()][1]:
                raise AzureError(
                    "OperationNotAllowed",
                    f"The operation requires the VM to be running (or set to run); '{id_.name}' is"
                    f" {power_state(body)}.",
                    status=409,
                )
            return self._begin(state, name.lower(), id_, ())

    def read_secrets(self, resource_id: str, name: str, api_version: str | None = None) -> Body:
        """What an action of `SECRETS` shows, such as `listKeys`.

        Raises AzureError.
        """
        id_, type_ = parse_known(resource_id, api_version)
        action = SECRETS.get((type_.name, name.lower()))
        body = self.store.read().resources.get(id_.key)
        if action is None:
            raise _no_action(name, type_)
        if body is None:
            raise not_found(id_)
        return action(body)

    def is_registered(self, namespace: str) -> bool:
        """Whether the subscription has registered a resource provider."""
        return namespace.lower() not in self.store.read().unregistered

    def register(self, namespace: str, *, registered: bool = True) -> None:
        """Register a resource provider for the subscription, or end that."""
        with self.store.change() as state:
            others = [each for each in state.unregistered if each != namespace.lower()]
            state.unregistered = others if registered else [*others, namespace.lower()]

    def resume(self) -> str | None:
        """Create everything again on a host that was restarted.

        Returns the operation, or None when nothing has to be done. Azure also starts its machines
        again after a failure of a host.
        """
        boot = _BOOT.read_text().strip()
        with self.store.change() as state:
            former, state.boot = state.boot, boot
            if former in ("", boot) or not state.resources:
                return None
            operation = LongRunningOperation(new_guid(), worker.RESUME, worker.RESUME)
            state.begin(operation)
            worker.ensure(self._instance, self.folder)
            return operation.id

    def operation(self, resource_id: str) -> LongRunningOperation | None:
        """The newest operation on a resource, ended or not."""
        return self.store.read().operations.get(ResourceId.parse(resource_id).key)

    def poll(self, operation: str | None) -> LongRunningOperation | None:
        """The operation as it is now; None when it is not known, or no longer."""
        found = self.store.read().find_operation(operation)
        if found is not None and found.status == "InProgress":
            worker.ensure(self._instance, self.folder)
        return found

    def wait(self, operation: str | None, timeout: float = 7200.0) -> None:
        """Wait until the operation has ended, at most `timeout` seconds.

        Raises AzureError: the operation's own error, or OperationTimedOut, after which it goes on.
        """
        deadline = time.monotonic() + timeout
        while (found := self.poll(operation)) is not None and found.status == "InProgress":
            if time.monotonic() > deadline:
                raise AzureError("OperationTimedOut", f"not done after {timeout:.0f} seconds")
            time.sleep(POLL)
        if found is not None:
            found.raise_error()

    def _complete(
        self, state: StoredState, id_: ResourceId, type_: ResourceType, body: Body, old: Body | None
    ) -> Body:
        """Check and complete a body; returns the one to store."""
        body = without_nulls(copy.deepcopy(body))
        for name in ("id", "name", "type", "etag"):
            body.pop(name, None)
        shown = view(state, id_) if old else None
        if shown:
            body = without_read_only(type_.body, body, shown)
        check_body(type_, body, shown)
        if type_.name != GROUP:
            require_parent(state, id_)
        if "location!" in type_.body:
            _check_location(type_, id_, body, old)
        _check_tags(body)
        body.setdefault("properties", {})
        named = {"id": str(id_) if old is None else old["id"], "name": id_.name, "type": type_.name}
        if type_.namespace == "Microsoft.Network":
            named["etag"] = etag()
        body = {**named, **body}
        KINDS[type_.name].put(PutRequest(id_, body, old, state, self._instance.public_address))
        return body

    def _begin(
        self,
        state: StoredState,
        kind: str,
        id_: ResourceId,
        hit: Sequence[Fault],
        *,
        creates: bool = False,
    ) -> str:
        slow = max(hit, key=lambda fault: fault.slow, default=None)
        late = next((one for fault in hit if (one := fault.refusal) and one.late), None)
        operation = LongRunningOperation(
            id=new_guid(),
            kind=kind,
            resource=id_.key,
            not_before=time.time() + slow.slow if slow else 0.0,
            fault=slow.id if slow else "",
            creates=creates,
            started=now(),
        )
        if late:
            error = late.error(kind, id_, state.resources[id_.key])
            operation.error = worker.error_record(error)
        state.begin(operation)
        if self._instant and not hit:
            worker.finish(state, operation)
        else:
            worker.ensure(self._instance, self.folder)
        return operation.id


def view(state: StoredState, id_: ResourceId) -> Body:
    """A resource as a GET shows it: without secrets, with what references of others add."""
    body = copy.deepcopy(state.resources[id_.key])
    KINDS[body["type"]].view(state, id_, body)
    return body


def parse_known(
    resource_id: str, api_version: str | None = None
) -> tuple[ResourceId, ResourceType]:
    """An id, with its type in Azure's spelling, and the type. Raises AzureError."""
    parsed = ResourceId.parse(resource_id)
    type_ = resource_type(parsed.type)
    if api_version is not None:
        check_version(type_.name, api_version)
    return dataclasses.replace(parsed, type=type_.name), type_


def _no_action(name: str, type_: ResourceType) -> AzureError:
    return AzureError(
        "InvalidResourceType",
        f"The action '{name}' could not be found for the resource type '{type_.name}'.",
        status=404,
    )


def _check_registered(state: StoredState, type_: ResourceType) -> None:
    if type_.namespace.lower() in state.unregistered:
        raise AzureError(
            "MissingSubscriptionRegistration",
            f"The subscription is not registered to use namespace '{type_.namespace}'. See"
            " https://aka.ms/rps-not-found for how to register subscriptions.",
            status=409,
            target=type_.namespace,
        )


def _check_idle(state: StoredState, id_: ResourceId) -> None:
    """Allow one operation at a time on a resource, and none in a group that is being deleted."""
    group = ResourceId(id_.subscription, id_.group, GROUP, (id_.group,))
    for key in (id_.key, id_.parent.key, group.key):
        running = state.operations.get(key)
        if running is None or running.status != "InProgress":
            continue
        if key == group.key and key != id_.key and running.kind == "delete":
            raise AzureError(
                "ResourceGroupBeingDeleted",
                f"The resource group '{id_.group}' is in deprovisioning state and cannot perform"
                " this operation.",
                status=409,
            )
        raise AzureError(
            "AnotherOperationInProgress",
            "Another operation on this or dependent resource is in progress. To retrieve status of"
            f" the operation use operation {running.id}.",
            status=429,
        )


def _raise_early(operation: str, hit: Sequence[Fault], id_: ResourceId, body: Body) -> None:
    for fault in hit:
        if (refusal := fault.refusal) and not refusal.late:
            raise refusal.error(operation, id_, body)


def _is_resize(old: Body, new: Body) -> bool:
    """Whether a machine that holds hardware gets another size."""
    sizes = [body["properties"].get("hardwareProfile") for body in (old, new)]
    return sizes[0] != sizes[1] and power_state(old) != DEALLOCATED


def merge_patch(body: Any, changes: Any) -> Any:
    """A body with the changes of a PATCH: a null removes a property, a list replaces a list.

    The tags are replaced as a whole.
    """
    if not isinstance(body, dict) or not isinstance(changes, dict):
        return changes
    changed = {
        name: each if name == "tags" else merge_patch(body.get(name), each)
        for name, each in changes.items()
    }
    merged = {**body, **changed}
    return {name: each for name, each in merged.items() if each is not None}


def without_nulls(value: Any) -> Any:
    """The value without its null properties; to Azure they are the same as missing ones."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def _check_location(type_: ResourceType, id_: ResourceId, body: Body, old: Body | None) -> None:
    given = body["location"]
    region = re.sub(r"\s", "", given).lower()
    known = type_.locations or offers().regions
    if region not in known:
        raise AzureError(
            "LocationNotAvailableForResourceType",
            f"The provided location '{given}' is not available for resource type '{type_.name}'."
            " List of available regions for the resource type is"
            f" '{','.join(sorted(known))}'.",
            target="location",
        )
    body["location"] = region
    if old is None or old["location"] == region:
        return
    if type_.name == GROUP:
        raise AzureError(
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{region}'. The Resource group already exists in"
            f" location '{old['location']}'.",
            status=409,
        )
    raise AzureError(
        "InvalidResourceLocation",
        f"The resource '{id_.name}' already exists in location '{old['location']}' in resource"
        f" group '{id_.group}'. A resource with the same name cannot be created in location"
        f" '{region}'. Please select a new resource name.",
        status=409,
    )


def _check_tags(body: Body) -> None:
    tags = body.get("tags") or {}
    if len(tags) > 50:
        raise AzureError(
            "InvalidTagsCount",
            f"The number of tags '{len(tags)}' on the resource is more than the allowed '50'.",
            target="tags",
        )
    seen: dict[str, str] = {}
    for name, value in tags.items():
        if seen.setdefault(name.lower(), name) != name:
            raise AzureError(
                "InvalidRequestContent",
                f"The request content was invalid: the tag names '{seen[name.lower()]}' and"
                f" '{name}' differ only in case, and tag names are case-insensitive.",
                target="tags",
            )
        # Azure's own tags that link resources have an id in their name.
        reserved = re.search(r"[<>%&\\?/]", name) and not name.startswith("hidden-link:/")
        if not name or len(name) > 512 or reserved:
            raise AzureError(
                "InvalidTagNameCharacters",
                f"The tag name '{name}' is empty, longer than 512 characters or has reserved"
                " characters '<,>,%,&,\\,?,/'.",
                target="tags",
            )
        if len(value) > 256:
            raise AzureError(
                "InvalidTagValueLength",
                f"Tag value too large. Following tag value '{value}' exceeded the maximum length."
                " Maximum allowed length for tag value - '256' characters.",
                target="tags",
            )
