"""Changes of the real program, recorded with the real engine, and the comments about them.

`recorded/NAME.md` is what a reader sees; `python -m tests.unit.review.record NAME` makes it anew.
"""

from __future__ import annotations

import pytest

from tests.unit.ollamazure.review.record import CHANGES, RECORDED, rendered

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", sorted(file.stem for file in RECORDED.glob("*.json")))
def test_the_comment_is_the_recorded_one(name: str) -> None:
    assert rendered(name) == (RECORDED / f"{name}.md").read_text()


def test_every_change_is_recorded() -> None:
    recorded = {file.stem for file in RECORDED.glob("*.json")}
    assert recorded == {file.stem for file in RECORDED.glob("*.md")}
    assert set(CHANGES) <= recorded
