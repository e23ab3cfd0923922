"""The recorded previews in tests/unit/ollamazure/review are what the engine prints today."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from ollamazure.preview.output import COST_OUTPUT
from tests.unit.ollamazure.review.record import CHANGES, Tree, deploy_copy, load, record

pytestmark = pytest.mark.engine

# A deployable change with its cost.
REPRESENTATIVE = "resize-in-place"
RECORD = ".venv/bin/python -m tests.unit.ollamazure.review.record"


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    with deploy_copy() as tree:
        yield tree


def test_the_representative_recording_is_up_to_date(tree: Tree) -> None:
    compare_with_recording(REPRESENTATIVE, tree)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(CHANGES.keys() - {REPRESENTATIVE}))
def test_each_other_recording_is_up_to_date(name: str, tree: Tree) -> None:
    compare_with_recording(name, tree)


def compare_with_recording(name: str, tree: Tree) -> None:
    today, recorded = without_prices(record(name, tree)), without_prices(load(name))
    assert today == recorded, f"Record it again: {RECORD} {name}"


def without_prices(recorded: dict[str, Any]) -> dict[str, Any]:
    """The recording without the numbers that follow the price list."""
    for step in recorded["preview"]["steps"]:
        for state in (step.get("oldState"), step.get("newState")):
            if state and "outputs" in state:
                state["outputs"] = {COST_OUTPUT: sorted(state["outputs"][COST_OUTPUT])}
    diff = re.sub(r"^( {6}[ ~+-] \w+ *:) .*$", r"\1", recorded["diff"], flags=re.M)
    return {**recorded, "diff": diff}
