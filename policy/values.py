"""Functions that read the properties of a resource, some of which a preview does not know yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi_policy.proxy import UnknownValueError

UNKNOWN: Final = object()
"""The value of a property that only the deployment knows."""

_VERSIONED = re.compile(r"^azure-native(?:_\w+)?:(\w+)(?:/v\w+)?:")
_PRODUCTION = re.compile(r"(^|[-_.])prod(uction)?($|[-_.])")


def at(properties: Any, *path: str) -> Any:
    """The property at `path`: None if it is missing, UNKNOWN if it is not known yet."""
    value = properties
    for name in path:
        if not isinstance(value, Mapping):
            return None
        try:
            value = value[name]
        except KeyError:
            return None
        except UnknownValueError:
            return UNKNOWN
    return value


def items(listed: Any) -> Iterator[Any]:
    """The items of a list that are known; none if it is not a list."""
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        return
    for index in range(len(listed)):
        try:
            item = listed[index]
        except UnknownValueError:
            continue
        yield item


def texts(value: Any) -> Iterator[str]:
    """Every known text in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name in value:
            yield from texts(at(value, name))
    else:
        for item in items(value):
            yield from texts(item)


def differs(value: Any, *allowed: Any) -> bool:
    """Whether a value is known and is none of those allowed."""
    return value is not UNKNOWN and value not in allowed


def plain_type(type_: str) -> str:
    """A resource's type without the API version that azure-native's types may carry."""
    return _VERSIONED.sub(r"azure-native:\1:", type_)


def project_and_stack(urn: str) -> tuple[str, str]:
    """Project and stack of a resource: `urn:pulumi:<stack>::<project>::<types>::<name>`."""
    stack, project, *_ = urn.removeprefix("urn:pulumi:").split("::")
    return project, stack


def in_production(urn: str) -> bool:
    """Whether the name of the resource's stack contains the word `prod`."""
    _, stack = project_and_stack(urn)
    return bool(_PRODUCTION.search(stack))
