"""How declared settings meet what is there. Speaking with Open WebUI is tested on a machine."""

from __future__ import annotations

from typing import Any

import webui


def test_only_what_differs_is_set() -> None:
    present = {"a": 1, "b": 2, "undeclared": 3}
    assert webui.changed_keys(present, {"a": 1, "b": 5, "c": None, "d": 0}) == {"b": 5, "d": 0}


def test_of_a_mapping_what_is_not_declared_stays() -> None:
    present: dict[str, Any] = {
        "permissions": {"chat": {"delete": True, "web": True}, "own": {"x": 1}}
    }
    wanted = {"permissions": {"chat": {"web": False}}}

    assert webui.changed_keys(present, wanted) == {
        "permissions": {"chat": {"delete": True, "web": False}, "own": {"x": 1}}
    }
    assert present["permissions"]["chat"]["web"] is True


def test_a_mapping_can_begin_from_nothing() -> None:
    assert webui.changed_keys({"a": None}, {"a": {"b": {"c": 1}}}) == {"a": {"b": {"c": 1}}}
