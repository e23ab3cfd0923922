"""The inputs that a stand-in refuses."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.offline.inputs import InputType, check_inputs, complete
from emulator.plugins.values import UNKNOWN, Secret

pytestmark = pytest.mark.unit

_KNOWN = {
    "name": InputType("string", required=True),
    "count": InputType("integer", default=3),
    "token": InputType("string", secret=True),
    "where": InputType(
        {"host": InputType("string", required=True), "port": InputType("number", default=22)}
    ),
    "flag": InputType("boolean"),
    "lower": InputType("boolean", assumed=True),
}


def test_defaults_and_secrecy_are_filled_in() -> None:
    checked, failures = check_inputs(
        _KNOWN, {"name": "n", "token": "t", "where": {"host": UNKNOWN}}
    )
    assert not failures
    assert checked == {
        "name": "n",
        "count": 3,
        "token": Secret("t"),
        "where": {"host": UNKNOWN, "port": 22},
    }


def test_a_secret_stays_one_inside_another() -> None:
    known = {"whole": InputType({"part": InputType("string", secret=True)}, secret=True)}
    expected = {"whole": Secret({"part": Secret("p")})}
    for given in ({"part": "p"}, Secret({"part": "p"}), Secret({"part": Secret("p")})):
        assert check_inputs(known, {"whole": given}) == (expected, [])


def test_what_is_assumed_is_no_input() -> None:
    checked, _ = check_inputs(_KNOWN, {"name": "n"})
    assert "lower" not in checked
    assert complete(_KNOWN, checked)["lower"] is True
    assert complete(_KNOWN, {"lower": False})["lower"] is False


@pytest.mark.parametrize(
    ("given", "failure"),
    [
        ({}, ("name", "missing required property 'name'")),
        ({"name": 1}, ("name", "a string is expected, not a number")),
        ({"name": Secret(["x"])}, ("name", "a string is expected, not a list")),
        ({"name": "n", "count": True}, ("count", "an integer is expected, not a boolean")),
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
    assert check_inputs(_KNOWN, given)[1] == [failure]
