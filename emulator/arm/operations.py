"""Long-running operations as ARM reports them: 201 or 202 with a URL that a client polls."""

from __future__ import annotations

from urllib.parse import urlencode

from emulator.arm.calls import Answer, Call, Routes
from emulator.azure.errors import AzureError
from emulator.azure.names import DISK, GROUP, VAULT_KEY, ResourceId
from emulator.azure.store import LongRunningOperation

RETRY_AFTER = {"Retry-After": "1"}
"""Seconds that a client waits between two polls; Azure asks for 10 and more."""

LONG_RUNNING = (
    *("Microsoft.Compute/", "Microsoft.Network/", "Microsoft.ContainerService/"),
    *("Microsoft.DBforPostgreSQL/", "Microsoft.Cache/"),
)
"""The types whose PUT is answered before it is done. The answer to one of another type waits."""

ALWAYS_200 = ("Microsoft.Storage/storageAccounts", VAULT_KEY)


def add_routes(routes: Routes) -> None:
    """Add the paths that clients poll."""
    of_provider = "/subscriptions/{subscription}/providers/{namespace}/locations/{location}"
    routes.add(f"{of_provider}/operations/{{operation}}", get=_status)
    routes.add(f"{of_provider}/operationResults/{{operation}}", get=_result)
    routes.add("/subscriptions/{subscription}/operationResults/{operation}", get=_result)


def is_long_running(type_: str) -> bool:
    return type_.startswith(LONG_RUNNING)


def accepted(
    call: Call, id_: ResourceId, operation: str, location: str, *, part: str = ""
) -> Answer:
    """202: the deletion or action goes on, and these headers say where to look."""
    headers = polling_headers(call, id_, operation, location, part=part)
    if id_.type == GROUP:
        where = f"{call.url}/subscriptions/{id_.subscription}"
        path = f"{where}/operationresults/{operation}?api-version={call.api_version}"
        return Answer(202, None, {"Location": path, **RETRY_AFTER})
    return Answer(202, None, headers)


def polling_headers(
    call: Call, id_: ResourceId, operation: str, location: str, *, part: str = ""
) -> dict[str, str]:
    """The URLs of an operation: of its status, and of its result.

    `part` is what the operation is about within its resource, such as `securityRules/https`.
    """
    namespace = id_.type.partition("/")[0]
    base = f"{call.url}/subscriptions/{id_.subscription}/providers/{namespace}/locations/{location}"
    version = f"?api-version={call.api_version}"
    of_part = f"&{urlencode({'part': part})}" if part else ""
    return {
        "Azure-AsyncOperation": f"{base}/operations/{operation}{version}",
        "Location": f"{base}/operationResults/{operation}{version}{of_part}",
        **RETRY_AFTER,
    }


def status_after_put(type_: str, *, creates: bool) -> int:
    """The status with which Azure accepts a PUT."""
    if type_ == DISK:
        return 202
    # These answer 200 also when they create something, and clients accept nothing else of a key.
    return 200 if not creates or type_.startswith(ALWAYS_200) else 201


def _status(call: Call) -> Answer:
    operation = _find(call)
    body = {
        "id": call.path,
        "name": operation.id,
        "status": operation.status,
        "startTime": operation.started,
        "endTime": operation.ended or None,
    }
    if operation.error is not None:
        body |= AzureError(**operation.error).body()
    shown = {name: value for name, value in body.items() if value is not None}
    return Answer(200, shown, RETRY_AFTER if operation.status == "InProgress" else {})


def _result(call: Call) -> Answer:
    """What the operation has led to: the resource, or nothing after a deletion or an action."""
    operation = _find(call)
    if operation.status == "InProgress":
        where = f"{call.url}{call.path}?{urlencode(call.query)}"
        return Answer(202, None, {"Location": where, **RETRY_AFTER})
    operation.raise_error()
    if operation.kind == "put":
        body = call.azure.get(operation.resource, call.api_version)
        if part := call.query.get("part"):
            list_name, _, name = part.partition("/")
            parts = {each["name"]: each for each in body["properties"].get(list_name) or []}
            return Answer(200, parts[name]) if name in parts else Answer(204)
        return Answer(200, body)
    return Answer(204 if operation.kind == "delete" else 200)


def _find(call: Call) -> LongRunningOperation:
    found = call.azure.poll(call.words["operation"])
    if found is None:
        raise AzureError(
            "NotFound", f"The operation '{call.words['operation']}' was not found.", status=404
        )
    return found
