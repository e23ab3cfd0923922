"""Pulumi's values on the wire, as plain Python values.

Properties are JSON-like. `Secret` wraps a value that must not be shown; `UNKNOWN` stands for what
a preview cannot know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import struct_pb2

Properties = dict[str, Any]

# Marks on the wire, from resource/plugin/rpc.go of Pulumi's SDK.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 -- a mark, no password
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = {
    _UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # a list
    "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
    "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
}


class Unknown:
    """The value of everything that a preview cannot know."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in the state and never shows."""

    value: Any

    def __repr__(self) -> str:
        return "Secret([secret])"


def reveal(value: Any) -> Any:
    """The value with its secrets unwrapped."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def decode(value: struct_pb2.Value) -> Any:
    """Read a value from the wire."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if math.isfinite(number) and number == int(number) else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [decode(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = decode_map(value.struct_value)
        return Secret(fields["value"]) if fields.get(_SIGNATURE) == _SECRET else fields
    return None


def decode_map(values: struct_pb2.Struct) -> Properties:
    """Read an object from the wire."""
    return {key: decode(value) for key, value in values.fields.items()}


def encode(value: Any) -> struct_pb2.Value:  # noqa: PLR0911 -- one for each kind of value
    """Write a value for the wire."""
    match value:
        case Unknown():
            return struct_pb2.Value(string_value=_UNKNOWN)
        case Secret():
            return encode({_SIGNATURE: _SECRET, "value": value.value})
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case dict():
            return struct_pb2.Value(struct_value=encode_map(value))
        case list():
            values = [encode(item) for item in value]
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=values))
    return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)


def encode_map(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Write an object for the wire."""
    return struct_pb2.Struct(fields={key: encode(value) for key, value in values.items()})
