"""How two versions of a resource's inputs differ."""

from __future__ import annotations

import pytest

from emulator.plugins.differences import find_differences
from emulator.plugins.values import UNKNOWN

pytestmark = pytest.mark.unit


def test_differences_are_listed_by_path() -> None:
    old = {"a": 1, "b": [1, 2], "c": {"d": "x"}, "e": 1}
    new = {"a": 2, "b": [1, 2, 3], "c": {"d": UNKNOWN}, "f": 1}
    assert sorted(find_differences(old, new)) == [
        ("a", "UPDATE"),
        ("b[2]", "ADD"),
        ("c.d", "UPDATE"),
        ("e", "DELETE"),
        ("f", "ADD"),
    ]
    assert not list(find_differences(old, dict(old)))
