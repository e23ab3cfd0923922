"""The differences between declared and existing items, in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from webui import accounts, items
from webui.client import WebuiSession, detail_of
from webui.errors import WebuiError


def test_a_difference_shows_both_values() -> None:
    present = {"role": "admin", "state": "active", "groups": ["Sales"]}
    wanted = {"role": "user", "state": "active", "groups": ["Sales", "Support"]}

    assert items.differences(present, wanted) == [
        "role is admin, declared user",
        "groups is Sales, declared Sales, Support",
    ]


def test_what_is_not_declared_is_no_difference() -> None:
    assert items.differences({"name": "A", "id": "1"}, {"name": "A"}) == []


def test_an_item_can_be_missing_or_superfluous() -> None:
    assert items.differences(None, {"name": "A"}) == ["it is missing"]
    assert items.differences({"name": "A"}, None) == ["it exists, declared deleted"]
    assert items.differences(None, None) == []


def test_each_field_of_a_mapping_is_compared() -> None:
    present = {"params": {"temperature": 1, "top_k": 5}}
    wanted = {"params": {"temperature": 0.5, "seed": 1}}

    assert items.differences(present, wanted) == [
        "params.seed is nothing, declared 1",
        "params.temperature is 1, declared 0.5",
        "params.top_k is 5, declared nothing",
    ]


@pytest.mark.parametrize("field", ["oauth.client_secret", "openai.api_keys", "password"])
def test_a_secret_is_never_shown(field: str) -> None:
    assert items.difference(field, "hunter2", "hunter3") == [
        f"{field} differs from the declaration"
    ]


def test_a_long_text_is_not_repeated() -> None:
    assert items.difference("content", "a" * 100, "b") == ["content differs from the declaration"]


def test_only_true_permissions_are_granted() -> None:
    tree = {"chat": {"delete": True, "edit": False}, "features": {"notes": True}}
    assert accounts.true_permissions(tree) == {"chat.delete": True, "features.notes": True}


def test_two_of_one_name_are_refused_with_their_ids() -> None:
    with pytest.raises(WebuiError, match=r"2 items have the name Sales \(1, 2\); rename"):
        items.only("Sales", [{"id": "2"}, {"id": "1"}])


def test_a_refusal_of_a_malformed_request_does_not_repeat_it() -> None:
    text = (
        '{"detail": [{"loc": ["body", "email"], "msg": "Field required",'
        ' "input": {"password": "hunter2"}}]}'
    )
    assert detail_of(text) == "body.email: Field required"
    assert detail_of('{"detail": "That e-mail is taken."}') == "That e-mail is taken."


class Named:
    """A kind of item whose key is its name; `removed` is what was removed from Open WebUI."""

    def __init__(self, removed: list[str]) -> None:
        self.removed = removed

    def key(self, declared: items.Item) -> str:
        return str(declared["name"])

    def wanted(self, declared: items.Item) -> items.Item:
        return declared

    def present(self, webui: WebuiSession, declared: items.Item) -> items.Item:
        return declared

    def set(self, webui: WebuiSession, declared: items.Item, present: items.Item | None) -> None:
        raise AssertionError

    def remove(self, webui: WebuiSession, key: str) -> None:
        self.removed.append(key)


def test_after_a_restore_what_is_no_longer_declared_goes_and_references_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "DECLARED", tmp_path / "declared")
    for folder, names in {
        "declared/user": ["alice"],
        "former/user": ["alice", "bob"],
        "former/preset": ["coach"],
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            (tmp_path / folder / f"{name}.json").write_text(json.dumps({"name": name}))
    removed: list[str] = []
    kinds = {"user": Named(removed), "preset": Named(removed)}
    items.remove_undeclared(WebuiSession(), kinds, tmp_path / "former")
    assert removed == ["coach", "bob"]
