"""The pictures of README.md: what is photographed, and that the files stay small."""

from __future__ import annotations

import pytest

from tools.pictures import COMMENT, PICTURES, render_comment


def test_a_comment_is_rendered_as_a_table_with_a_caption() -> None:
    page = render_comment(COMMENT.read_text(encoding="utf-8"))

    assert "<table>" in page
    assert "<!-- " not in page
    assert "Rendered by tools/pictures.py" in page


@pytest.mark.parametrize("name", ["chat", "comment"])
def test_a_picture_takes_less_than_300_kb(name: str) -> None:
    assert 10_000 < (PICTURES / f"{name}.png").stat().st_size < 300_000
