"""What a PUT may contain: types.yaml, and the check of a body against it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from emulator.azure.errors import AzureError

Shape = Any
"""A node of types.yaml: a name of a kind, `A|B`, a list of one shape, or an object of shapes."""

ANY = object()
"""A value that is not known yet; it fits every shape."""


@dataclass(frozen=True)
class ResourceType:
    """A type Azure knows: its name in Azure's spelling, its API versions, the shape of its body.

    `locations` are where it can be, if that is not every region. `since` has the API version from
    which there is a property, by its path like `properties.name`, also within lists.
    """

    name: str
    api_versions: tuple[str, ...]
    body: dict[str, Shape]
    locations: tuple[str, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]


@cache
def resource_types() -> dict[str, ResourceType]:
    """Every type, by its lower-cased name."""
    text = (Path(__file__).parent / "types.yaml").read_text()
    return {
        name.lower(): ResourceType(
            name,
            tuple(entry["apiVersions"]),
            entry["body"],
            tuple(entry.get("locations", ())),
            entry.get("since", {}),
        )
        for name, entry in yaml.load(text, yaml.CSafeLoader).items()
    }


def resource_type(name: str) -> ResourceType:
    """The type of that name, in any case. Raises InvalidResourceType, InvalidResourceNamespace."""
    known = resource_types()
    found = known.get(name.lower())
    if found is not None:
        return found
    namespace, _, rest = name.partition("/")
    if namespace.lower() not in {each.namespace.lower() for each in known.values()}:
        raise AzureError(
            "InvalidResourceNamespace",
            f"The resource namespace '{namespace}' is invalid.",
            status=404,
        )
    raise AzureError(
        "InvalidResourceType",
        f"The resource type '{rest}' could not be found in the namespace '{namespace}'.",
        status=404,
    )


def check_version(type_name: str, api_version: str) -> None:
    """Check that the type has the API version. Raises NoRegisteredProviderFound."""
    type_ = resource_type(type_name)
    if api_version not in type_.api_versions:
        raise AzureError(
            "NoRegisteredProviderFound",
            f"No registered resource provider found for API version '{api_version}' for type"
            f" '{type_.name}'. The supported api-versions are"
            f" '{', '.join(sorted(type_.api_versions))}'.",
        )


def remove_newer(type_: ResourceType, body: dict[str, Any], api_version: str) -> None:
    """Remove from an answer the properties that the API version does not have yet."""
    for holder, path in _newer(type_, body, api_version):
        del holder[path.rpartition(".")[2]]


def check_newer(type_: ResourceType, body: dict[str, Any], api_version: str) -> None:
    """Refuse properties that the API version does not have yet, as the network provider does.

    Raises InvalidRequestFormat; its text is in github.com/Azure/azure-powershell/issues/13544.
    """
    for _, path in _newer(type_, body, api_version):
        raise AzureError(
            "InvalidRequestFormat",
            f"Cannot parse the request. Could not find member '{path.rpartition('.')[2]}' on an"
            f" object of API version '{api_version}'. Path '{path}'.",
            target=path,
        )


def _newer(
    type_: ResourceType, body: dict[str, Any], api_version: str
) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects with a property that is newer than the API version, and its path in the type."""
    for path, since in type_.since.items():
        *outer, name = path.split(".")
        holders: list[Any] = [body] if api_version < since else []
        for each in outer:
            inner = [holder.get(each) for holder in holders if isinstance(holder, dict)]
            holders = [
                one for some in inner for one in (some if isinstance(some, list) else [some])
            ]
        yield from ((each, path) for each in holders if isinstance(each, dict) and name in each)


@dataclass(frozen=True)
class Misfit:
    """A place where a body does not fit: `path` is like `a.b[0].c`, `reason` is a predicate."""

    path: str
    reason: str


def field_names(shape: dict[str, Shape]) -> dict[str, Shape]:
    """The object's fields by name, without the mark of required ones."""
    return {name.rstrip("!"): inner for name, inner in shape.items()}


def misfits(shape: Shape, value: Any, path: str = "") -> Iterator[Misfit]:
    """All places where `value` does not fit `shape`."""
    if value is ANY:
        return
    if isinstance(shape, dict):
        yield from _object_misfits(shape, value, path)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield Misfit(path, "must be a list")
            return
        for index, item in enumerate(value):
            yield from misfits(shape[0], item, f"{path}[{index}]")
    elif (reason := _scalar_misfit(shape, value)) is not None:
        yield Misfit(path, reason)


def _object_misfits(shape: dict[str, Shape], value: Any, path: str) -> Iterator[Misfit]:
    if not isinstance(value, dict):
        yield Misfit(path, "must be an object")
        return
    prefix = f"{path}." if path else ""
    known = field_names(shape)
    for name in value:
        if name not in known:
            yield Misfit(f"{prefix}{name}", f"is unknown; known here: {', '.join(sorted(known))}")
    for marked, inner in shape.items():
        name = marked.rstrip("!")
        if value.get(name) is not None:
            yield from misfits(inner, value[name], f"{prefix}{name}")
        elif marked.endswith("!"):
            yield Misfit(f"{prefix}{name}", "is required")


def _scalar_misfit(shape: str, value: Any) -> str | None:
    if shape in ("integer", "number"):
        kinds = int if shape == "integer" else (int, float)
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        return None if fits else f"must be {'an' if shape == 'integer' else 'a'} {shape}"
    if shape in ("boolean", "false"):
        fits = isinstance(value, bool) if shape == "boolean" else value is False
        return None if fits else f"must be {'true or ' if shape == 'boolean' else ''}false"
    if shape == "tags":
        texts = value.values() if isinstance(value, dict) else [value]
        fits = all(each is ANY or isinstance(each, str) for each in texts)
        return None if isinstance(value, dict) and fits else "must be an object of strings"
    if shape == "ids":
        return None if isinstance(value, dict) else "must be an object whose keys are ids"
    if shape == "json":
        return None if isinstance(value, dict) else "must be an object"
    return _text_misfit(shape, value)


def _text_misfit(shape: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if shape != "string" and value not in (choices := shape.split("|")):
        return f"is '{value}' but must be one of {', '.join(choices)}"
    return None


def without_read_only(shape: Shape, body: Any, shown: Any) -> Any:
    """The body without what no PUT can set, where it has what a GET shows: Azure ignores that."""
    if isinstance(shape, dict) and isinstance(body, dict) and isinstance(shown, dict):
        known = field_names(shape)
        return {
            name: without_read_only(known.get(name), value, shown.get(name))
            for name, value in body.items()
            if name in known or name not in shown or shown[name] != value
        }
    if isinstance(shape, list) and isinstance(body, list) and isinstance(shown, list):
        return [
            without_read_only(shape[0], *both)
            for both in itertools.zip_longest(body, shown[: len(body)])
        ]
    return body


def check_body(
    type_: ResourceType, body: dict[str, Any], shown: dict[str, Any] | None = None
) -> None:
    """Check that a body fits its type. Raises AzureError that names every misfit.

    What a GET shows fits, also where no PUT could set it: an OS disk is made from an image.
    """
    found = list(misfits(type_.body, _shown_as_any(body, shown)))
    if not found:
        return
    raise AzureError(
        "InvalidRequestContent",
        f"The request content was invalid and could not be deserialized as {type_.name}: "
        + "; ".join(f"'{each.path}' {each.reason}" for each in found)
        + ".",
        target=found[0].path,
    )


def _shown_as_any(body: Any, shown: Any) -> Any:
    if isinstance(body, dict) and isinstance(shown, dict):
        return {name: _shown_as_any(value, shown.get(name)) for name, value in body.items()}
    return ANY if body == shown and body is not None else body
