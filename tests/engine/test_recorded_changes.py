"""What tests/unit/review holds was recorded; the engine still says the same of today's program."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ollamazure.preview import output
from ollamazure.review import comment
from ollamazure.review.changes import review
from tests.unit.ollamazure.review.record import CHANGES, RECORDED, STACK, deployed

pytestmark = pytest.mark.engine


def test_the_comment_of_today_is_the_recorded_one() -> None:
    """But for the cost, which follows the prices."""
    with deployed() as tree:
        read = output.read(*CHANGES["user-changed"](tree))
    today = comment.of_review(STACK, review(replace(read, diff="")))
    assert rows(today) == rows((RECORDED / "user-changed.md").read_text())
    assert read.cost_before and read.cost_after


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]
