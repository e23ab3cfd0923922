"""The rules that all templates of the project share."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from ollamazure import templates


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some.j2").write_text("a\n  {% if more %}\n{{ more }}\n  {% endif %}\nb\n")
    monkeypatch.setattr(templates._ENVIRONMENT, "loader", jinja2.FileSystemLoader(tmp_path))


def test_a_line_with_only_a_tag_adds_no_line() -> None:
    assert templates.render_template("some.j2", more="<&>") == "a\n<&>\nb\n"


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="more"):
        templates.render_template("some.j2")
