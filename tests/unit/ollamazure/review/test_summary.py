"""The cost and the licences in a review."""

from __future__ import annotations

from typing import Any

import pytest

from ollamazure.preview.output import COST_OUTPUT, STACK_TYPE
from ollamazure.preview.text import plain
from ollamazure.review import summary
from tests.unit.ollamazure.review.steps import COMMAND, reviewed, step

pytestmark = pytest.mark.unit

COST = {"amount": 65.75, "currency": "USD", "region": "eastus", "asOf": "2026-11-23"}
BASIS = "(pay-as-you-go prices of eastus as of 2026-11-23)"
ADDED = f"""\
  + {COST_OUTPUT}           : {{
      + amount  : 65.75
      + asOf    : "2026-11-23"
      + currency: "USD"
      + region  : "eastus"
      + verified: true
    }}
"""


def describe(op: str, outputs: dict[str, Any], diff: str) -> str:
    """The cost of a change of a stack and of one model in it."""
    stack = step(op, STACK_TYPE, "ollamazure-dev", oldState={"outputs": outputs})
    model = step(op if op == "delete" else "create", COMMAND, "model-x", oldState={}, newState={})
    return plain(summary.describe_cost(reviewed(stack, model, diff=diff)))


def test_a_cost_that_changes() -> None:
    changed = ADDED.replace("+ amount  : 65.75", "~ amount  : 65.75 => 120.35").replace("+", "~", 1)
    text = describe("update", {COST_OUTPUT: {**COST, "verified": True}}, changed)
    assert text == f"about 66 USD a month before, 120 after: +54 USD a month {BASIS}"


def test_a_cost_that_stays_the_same() -> None:
    text = describe("same", {COST_OUTPUT: {**COST, "verified": False}}, "Resources:")
    not_verified = BASIS.replace("23)", "23, not verified)")
    assert text == f"about 66 USD a month, as before {not_verified}"


def test_the_former_cost_of_a_stack_that_an_older_version_deployed_is_not_known() -> None:
    text = describe("update", {"monthlyCostEstimate": "about 50 USD a month"}, ADDED)
    assert text == f"about 66 USD a month; the former cost is not known {BASIS}"


def test_a_new_stack_has_no_former_cost() -> None:
    assert describe("create", {}, ADDED) == f"about 66 USD a month {BASIS}"


def test_a_stack_that_is_destroyed_costs_less() -> None:
    text = describe("delete", {COST_OUTPUT: {**COST, "verified": True}}, "Resources:")
    assert text == f"about 66 USD a month less {BASIS}"


def added_model(name: str) -> dict[str, Any]:
    removed_by = f"sudo /usr/local/lib/ollamazure/model.py remove {name} now"
    return step("create", COMMAND, f"model-{name}", newState={"inputs": {"delete": removed_by}})


def test_models_that_are_added_are_named_with_their_licence() -> None:
    models = [added_model(name) for name in ("qwen3:4b", "llama3.2:1b", "qwen3:8b", "own:7b")]
    texts = [plain(each) for each in summary.describe_licences(reviewed(*models))]
    assert len(texts) == 3
    assert "qwen3:4b, qwen3:8b: Apache-2.0." in texts
    assert any(each.startswith("llama3.2:1b: Llama 3.2 Community License. Meta") for each in texts)
    assert any(each.startswith("own:7b: not in the catalog") for each in texts)


def test_a_model_that_stays_or_goes_is_named_without_its_licence() -> None:
    same = {**added_model("qwen3:4b"), "op": "same"}
    gone = step("delete", COMMAND, "model-x", oldState={}, newState={})
    assert summary.describe_licences(reviewed(same, gone)) == []
