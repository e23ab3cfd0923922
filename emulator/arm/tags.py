"""Microsoft.Resources/tags: the tags of a resource, changed without the rest of it."""

from __future__ import annotations

from collections.abc import Callable

from emulator.arm.calls import RESOURCES_VERSIONS, Answer, Call, Routes
from emulator.azure.errors import AzureError
from emulator.azure.store import Body

Tags = dict[str, str]


def add_routes(routes: Routes) -> None:
    """Add the path of the tags of any resource."""
    path = "{scope*}/providers/Microsoft.Resources/tags/default"
    routes.add(path, get=_get, put=_replace, patch=_update, delete=_remove)


def _get(call: Call) -> Answer:
    return Answer(200, _show(call))


def _replace(call: Call) -> Answer:
    given = _given(call)
    return _set(call, lambda _: given)


def _update(call: Call) -> Answer:
    """PATCH: Merge, Replace or Delete the named tags."""
    operation, given = call.body.get("operation"), _given(call)
    if operation == "Merge":
        return _set(call, lambda now: {**now, **given})
    if operation == "Replace":
        return _set(call, lambda _: given)
    if operation == "Delete":
        # A tag with another value than the given one stays.
        return _set(
            call, lambda now: {tag: each for tag, each in now.items() if given.get(tag) != each}
        )
    raise AzureError(
        "InvalidTagOperation",
        f"The operation '{operation}' is invalid; it is Merge, Replace or Delete.",
        target="operation",
    )


def _remove(call: Call) -> Answer:
    _set(call, lambda _: {})
    return Answer(200)


def _given(call: Call) -> Tags:
    tags = (call.body.get("properties") or {}).get("tags")
    if not isinstance(tags, dict):
        raise AzureError("InvalidRequestContent", "The property 'properties.tags' is required.")
    return tags


def _set(call: Call, change: Callable[[Tags], Tags]) -> Answer:
    _check(call)

    def make_body(shown: Body) -> Body:
        return {**shown, "tags": change(shown.get("tags") or {})}

    call.azure.wait(call.azure.change(_scope(call), make_body))
    return Answer(200, _show(call))


def _show(call: Call) -> Body:
    _check(call)
    scope = _scope(call)
    return {
        "id": f"{scope}/providers/Microsoft.Resources/tags/default",
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": call.azure.get(scope).get("tags") or {}},
    }


def _check(call: Call) -> None:
    call.require_version(*RESOURCES_VERSIONS)


def _scope(call: Call) -> str:
    return f"/{call.words['scope'].strip('/')}"
