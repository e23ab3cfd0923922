"""Resources by their ARM ids, whatever their type: GET, PUT, PATCH, DELETE, lists, actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from emulator.arm.calls import Answer, Call, Routes, no_such_path, page, read_filter
from emulator.arm.operations import accepted, is_long_running, polling_headers, status_after_put
from emulator.azure.errors import AzureError, method_not_allowed
from emulator.azure.kinds import not_found
from emulator.azure.names import (
    BLOB_SERVICE,
    FEDERATED_CREDENTIAL,
    GROUP,
    INTERFACE,
    MACHINE,
    ROLE_ASSIGNMENT,
    SECURITY_GROUP,
    VAULT_KEY,
    ResourceId,
)
from emulator.azure.providers import SECRETS
from emulator.azure.service import merge_patch, parse_known
from emulator.azure.shapes import check_newer, check_version, resource_types
from emulator.azure.store import Body

EMBEDDED = {
    f"{SECURITY_GROUP}/securityRules".lower(): "securityRules",
    f"{SECURITY_GROUP}/defaultSecurityRules".lower(): "defaultSecurityRules",
    f"{INTERFACE}/ipConfigurations".lower(): "ipConfigurations",
}
"""Parts of a resource that have ids: the list of its properties in which they are."""

WITHOUT_PATCH = (BLOB_SERVICE, FEDERATED_CREDENTIAL, ROLE_ASSIGNMENT, VAULT_KEY)
INSTANCE_VIEW = "instanceView"
WRITABLE = "securityRules"
LIST_OF_VAULTS = "2015-11-01"
"""The version in which clients of Key Vault look for the group of a vault."""
LISTED = ("id", "name", "type", "location", "tags", "sku", "kind", "identity", "zones", "managedBy")
"""What a list of all resources shows of each."""


def add_routes(routes: Routes) -> None:
    """Add the paths of resources; they match nearly everything, so they come last."""
    subscription = "/subscriptions/{subscription}"
    group = f"{subscription}/resourceGroups/{{group}}"
    routes.add(f"{subscription}/resourceGroups", get=_list_groups)
    routes.add(f"{subscription}/resources", get=_list_resources)
    routes.add(f"{group}/resources", get=_list_resources)
    routes.add("{scope*}/providers/Microsoft.Authorization/roleAssignments", get=_list_assignments)
    every = {
        "get": _get,
        "head": _head,
        "put": _put,
        "patch": _patch,
        "delete": _delete,
        "post": _act,
    }
    routes.add(group, **every)
    routes.add(f"{group}/providers/{{rest*}}", **every)
    routes.add(f"{subscription}/providers/{{type*}}", get=_list_type)


def _get(call: Call) -> Answer:
    if _is_collection(call.path):
        return _list_collection(call)
    if part := _embedded(call.path):
        return Answer(200, _find_part(call, *part))
    machine, _, last = call.path.rpartition("/")
    if last.lower() == INSTANCE_VIEW.lower():
        body = call.azure.get(machine, call.api_version, expand=INSTANCE_VIEW)
        return Answer(200, body["properties"][INSTANCE_VIEW])
    body = call.azure.get(call.path, call.api_version, expand=call.query.get("$expand"))
    return Answer(200, body, {"ETag": body["etag"]} if "etag" in body else {})


def _head(call: Call) -> Answer:
    try:
        call.azure.get(call.path, call.api_version)
    except AzureError as error:
        if error.status == 404:
            return Answer(404)
        raise
    return Answer(204)


def _put(call: Call) -> Answer:
    if part := _embedded(call.path):
        return _put_part(call, *part)
    operation = call.azure.put(call.path, call.body, call.api_version, conditions=call.conditions)
    return _after_change(call, operation)


def _patch(call: Call) -> Answer:
    _, type_ = parse_known(call.path)
    if type_.name in WITHOUT_PATCH:
        raise method_not_allowed("PATCH")
    check_newer(type_, call.body, call.api_version)
    operation = _change(call, call.path, lambda shown: merge_patch(shown, call.body))
    return _after_change(call, operation, patched=True)


def _change(call: Call, resource_id: str, make_body: Callable[[Body], Body]) -> str:
    return call.azure.change(resource_id, make_body, call.api_version, conditions=call.conditions)


def _after_change(call: Call, operation: str, *, patched: bool = False) -> Answer:
    """The resource as it is now, and where the client sees when it is finished."""
    id_, _ = parse_known(call.path)
    long_running = is_long_running(id_.type)
    if not long_running:
        call.azure.wait(operation)
    found = call.azure.poll(operation)
    creates = found is not None and found.creates
    body = call.azure.get(call.path, call.api_version)
    status = 200 if patched else status_after_put(id_.type, creates=creates)
    if not long_running:
        return Answer(status, body)
    location = _location(call, id_, body)
    return Answer(status, body, polling_headers(call, id_, operation, location))


def _delete(call: Call) -> Answer:
    if part := _embedded(call.path):
        return _delete_part(call, *part)
    id_, _ = parse_known(call.path)
    try:
        body = call.azure.get(call.path, call.api_version)
    except AzureError as error:
        if error.code != "ResourceNotFound":
            raise
        return Answer(204)
    operation = call.azure.delete(call.path, call.api_version, conditions=call.conditions)
    if operation is None:
        return Answer(204)
    if id_.type == GROUP or is_long_running(id_.type):
        return accepted(call, id_, operation, _location(call, id_, body))
    call.azure.wait(operation)
    return Answer(200, body if id_.type == ROLE_ASSIGNMENT else None)


def _location(call: Call, id_: ResourceId, body: Body) -> str:
    """The region of a resource, or of its parent if it has none of its own."""
    if "location" in body:
        return str(body["location"])
    return str(call.azure.get(str(id_.parent))["location"])


def _act(call: Call) -> Answer:
    """POST: an action, whose name is the last part of the path."""
    target, _, action = call.path.rpartition("/")
    id_, _ = parse_known(target)
    if id_.type == MACHINE and action.lower() == "runcommand":
        call.azure.get(target, call.api_version)
        raise AzureError(
            "OperationNotAllowed",
            "This operation cannot be performed when extension operations are disallowed. To"
            " allow, please ensure VM Agent is installed on the VM and the"
            " osProfile.allowExtensionOperations property is true.",
            status=409,
        )
    if (id_.type, action.lower()) in SECRETS:
        return Answer(200, call.azure.read_secrets(target, action, call.api_version))
    operation = call.azure.action(target, action, call.api_version)
    return accepted(call, id_, operation, call.azure.get(target)["location"])


def _list_groups(call: Call) -> Answer:
    return page(call, list(_within(call, call.azure.list(GROUP, call.api_version))))


def _list_resources(call: Call) -> Answer:
    """Everything with a region, of a subscription or a group, in short form."""
    if call.api_version != LIST_OF_VAULTS:
        check_version(GROUP, call.api_version)
    wanted = read_filter(call, ("resourceType", "resourceGroup", "name", "location"))
    scope = call.path.lower().removesuffix("resources")
    found = []
    for type_ in resource_types().values():
        if type_.name == GROUP or type_.name.count("/") > 1 or "location!" not in type_.body:
            continue
        for body in _within(call, call.azure.list(type_.name)):
            id_ = ResourceId.parse(body["id"])
            facts = {
                "resourceType": type_.name,
                "resourceGroup": id_.group,
                "name": id_.name,
                "location": body["location"],
            }
            fits = all(facts[name].lower() == value.lower() for name, value in wanted.items())
            if fits and id_.key.startswith(scope):
                found.append({name: body[name] for name in LISTED if name in body})
    return page(call, found)


def _list_type(call: Call) -> Answer:
    """All resources of a type in a subscription."""
    name: str = call.words["type"]
    if "/" not in name:
        raise no_such_path()
    return page(call, list(_within(call, call.azure.list(name, call.api_version))))


def _list_collection(call: Call) -> Answer:
    """The resources of a type in a group, or the children of a type that a resource has."""
    parent, _, kind = call.path.rpartition("/")
    if "/providers/" not in parent.lower():
        raise no_such_path()
    if re.fullmatch(r".*/providers/[^/]+", parent, re.IGNORECASE):
        group, _, namespace = re.split(r"/(providers)/", parent, flags=re.IGNORECASE)
        container, name = ResourceId.parse(group), f"{namespace}/{kind}"
    else:
        container, _ = parse_known(parent)
        name = f"{container.type}/{kind}"
    if list_name := EMBEDDED.get(name.lower()):
        body = call.azure.get(str(container), call.api_version)
        return page(call, body["properties"].get(list_name) or [])
    found = call.azure.list(name, call.api_version)
    call.azure.get(str(container))  # 404 if it does not exist
    inside = f"{container.key}/"
    return page(call, [body for body in found if body["id"].lower().startswith(inside)])


def _list_assignments(call: Call) -> Answer:
    """The role assignments that apply to a scope; without atScope() also those below it."""
    text = call.query.get("$filter", "").strip()
    at_scope = text.lower() == "atscope()"
    wanted = {} if at_scope else read_filter(call, ("principalId",))
    scope = f"/{call.words['scope'].strip('/')}/".lower()
    found = []
    for body in call.azure.list(ROLE_ASSIGNMENT, call.api_version):
        properties = body["properties"]
        on = f"{properties['scope'].lower()}/"
        fits = scope.startswith(on) or (not at_scope and on.startswith(scope))
        if (
            fits
            and wanted.get("principalId", properties["principalId"]) == properties["principalId"]
        ):
            found.append(body)
    return page(call, found)


def _find_part(call: Call, parent: str, list_name: str, name: str) -> Body:
    body = call.azure.get(parent, call.api_version)
    for part in body["properties"].get(list_name) or []:
        if part["name"].lower() == name.lower():
            found: Body = part
            return found
    raise not_found(ResourceId.parse(call.path))


def _put_part(call: Call, parent: str, list_name: str, name: str) -> Answer:
    """Put one security rule, which is a change of its group."""
    existed = _exists(lambda: _find_part(call, parent, list_name, name))
    operation = _change_parts(call, parent, list_name, name, [{**call.body, "name": name}])
    location = call.azure.get(parent)["location"]
    part = f"{list_name}/{name}"
    headers = polling_headers(call, parse_known(parent)[0], operation, location, part=part)
    return Answer(200 if existed else 201, _find_part(call, parent, list_name, name), headers)


def _delete_part(call: Call, parent: str, list_name: str, name: str) -> Answer:
    if not _exists(lambda: _find_part(call, parent, list_name, name)):
        return Answer(204)
    operation = _change_parts(call, parent, list_name, name, [])
    location = call.azure.get(parent)["location"]
    return accepted(call, parse_known(parent)[0], operation, location, part=f"{list_name}/{name}")


def _change_parts(
    call: Call, parent: str, list_name: str, name: str, replacement: list[Body]
) -> str:
    """Replace the part of that name, and no other; returns the operation."""
    if list_name != WRITABLE:
        raise AzureError("MethodNotAllowed", f"The parts '{list_name}' are read-only.", status=405)

    def make_body(shown: Body) -> Body:
        parts = shown["properties"][list_name]
        others = [part for part in parts if part["name"].lower() != name.lower()]
        shown["properties"][list_name] = [*others, *replacement]
        return shown

    return _change(call, parent, make_body)


def _exists(find: Callable[[], Any]) -> bool:
    try:
        find()
    except AzureError as error:
        if error.code == "ResourceNotFound":
            return False
        raise
    return True


def _embedded(path: str) -> tuple[str, str, str] | None:
    """Of a path to a part of a resource: the resource's id, the list, the part's name."""
    parent, _, name = path.rpartition("/")
    owner, _, kind = parent.rpartition("/")
    try:
        type_ = ResourceId.parse(owner).type
    except AzureError:
        return None
    list_name = EMBEDDED.get(f"{type_}/{kind}".lower())
    return (owner, list_name, name) if list_name else None


def _is_collection(path: str) -> bool:
    """Whether a path ends with a type, not with a name."""
    try:
        ResourceId.parse(path)
    except AzureError as error:
        if error.code != "LinkedInvalidPropertyId":
            raise
        return not path.lower().endswith(f"/{INSTANCE_VIEW}".lower())
    return False


def _within(call: Call, bodies: list[Body]) -> Iterator[Body]:
    """Those in the subscription that the path names."""
    prefix = f"/subscriptions/{call.words['subscription']}/".lower()
    return (body for body in bodies if body["id"].lower().startswith(prefix))
