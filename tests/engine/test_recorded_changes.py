"""What tests/unit/review holds was recorded; the engine still says the same of today's program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from review import comment, preview
from review.changes import review
from tests.unit.review.record import CHANGES, RECORDED, STACK, Tree, deployed

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    with deployed() as tree:
        yield tree


@pytest.mark.parametrize("name", ["model-added", "user-changed"])
def test_the_comment_of_today_is_the_recorded_one(name: str, tree: Tree) -> None:
    """But for the cost, which follows the prices."""
    read = preview.read(*CHANGES[name](tree))
    tree.restore()
    today = comment.of_review(STACK, review(replace(read, diff="")))
    assert rows(today) == rows((RECORDED / f"{name}.md").read_text())
    assert read.cost_before and read.cost_after


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]
