"""Pulumi's values on the wire."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2

from emulator.plugins.values import (
    UNKNOWN,
    Secret,
    decode_map,
    encode_map,
    reveal,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        1.5,
        "text",
        ["a", {"b": 1}],
        UNKNOWN,
        Secret("hidden"),
        Secret({"key": UNKNOWN}),
        {"nested": [Secret(1), UNKNOWN]},
    ],
    ids=str,
)
def test_a_value_survives_the_wire(value: Any) -> None:
    assert decode_map(encode_map({"it": value})) == {"it": value}


def test_every_kind_of_unknown_is_one() -> None:
    for mark in ("3eeb2bf0-c639-47a8-9e75-3b44932eb421", "dd056dcd-154b-4c76-9bd3-c8f88648b5ff"):
        sent = struct_pb2.Struct(fields={"it": struct_pb2.Value(string_value=mark)})
        assert decode_map(sent) == {"it": UNKNOWN}


def test_secrets_come_off() -> None:
    value = {"a": [Secret({"b": Secret("c")})], "d": UNKNOWN}
    assert reveal(value) == {"a": [{"b": "c"}], "d": UNKNOWN}
    assert "c" not in repr(value).replace("Secret([secret])", "")
