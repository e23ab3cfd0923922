"""Values on the wire, inputs that are refused, and what a difference is."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2

from emulator.plugins.provider import (
    UNKNOWN,
    Input,
    Secret,
    Unknown,
    check_all,
    decode_map,
    differences,
    encode_map,
    holds,
    plain,
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


def test_secrets_come_off_and_are_found() -> None:
    value = {"a": [Secret({"b": Secret("c")})], "d": UNKNOWN}
    assert plain(value) == {"a": [{"b": "c"}], "d": UNKNOWN}
    assert holds(value, Secret)
    assert not holds({"d": UNKNOWN}, Secret)
    assert holds(Secret([UNKNOWN]), Unknown)
    assert "c" not in repr(value).replace("Secret([secret])", "")


_KNOWN = {
    "name": Input("string", required=True),
    "count": Input("integer", default=3),
    "token": Input("string", secret=True),
    "where": Input({"host": Input("string", required=True), "port": Input("number", default=22)}),
    "flag": Input("boolean"),
}


def test_defaults_and_secrecy_are_filled_in() -> None:
    checked, failures = check_all(_KNOWN, {"name": "n", "token": "t", "where": {"host": UNKNOWN}})
    assert not failures
    assert checked == {
        "name": "n",
        "count": 3,
        "token": Secret("t"),
        "where": {"host": UNKNOWN, "port": 22},
    }


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        ({}, ("name", "missing required property 'name'")),
        ({"name": 1}, ("name", "a string is expected, not a number")),
        ({"name": Secret(["x"])}, ("name", "a string is expected, not a list")),
        ({"name": "n", "count": True}, ("count", "a integer is expected, not a boolean")),
        ({"name": "n", "flag": "yes"}, ("flag", "a boolean is expected, not a string")),
        ({"name": "n", "where": {}}, ("where.host", "missing required property 'host'")),
        ({"name": "n", "where": "there"}, ("where", "an object is expected, not a string")),
        (
            {"name": "n", "where": {"host": "h", "prt": 1}},
            ("where.prt", "an unexpected argument 'prt' was given; known are host, port"),
        ),
    ],
)
def test_what_is_refused_is_named_without_its_value(
    given: dict[str, Any], failure: tuple[str, str]
) -> None:
    assert check_all(_KNOWN, given)[1] == [failure]


def test_differences_are_told_by_path() -> None:
    old = {"a": 1, "b": [1, 2], "c": {"d": "x"}, "e": 1}
    new = {"a": 2, "b": [1, 2, 3], "c": {"d": UNKNOWN}, "f": 1}
    assert sorted(differences(old, new)) == [
        ("a", "UPDATE"),
        ("b[2]", "ADD"),
        ("c.d", "UPDATE"),
        ("e", "DELETE"),
        ("f", "ADD"),
    ]
    assert not list(differences(old, dict(old)))
