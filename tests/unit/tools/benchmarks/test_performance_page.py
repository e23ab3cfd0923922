"""The page has a place for each benchmark, and numbers only from recorded reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.tools.benchmarks.test_measurement import REPORT
from tools.benchmarks import report
from tools.benchmarks.inventory import NAMES
from tools.benchmarks.performance_page import fill

pytestmark = pytest.mark.unit

EMPTY = "# Title\n" + "".join(
    f"\nBefore {name}.\n<!-- {name} -->\n<!-- {name}: end -->\n" for name in NAMES
)


def test_a_recorded_report_fills_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "performance"
    folder.mkdir()
    report.write(REPORT, folder)
    page = fill(EMPTY, folder)
    assert "| first token, ms | 60 (50-70) |" in page
    assert "(performance/chat-1.svg)" in page
    assert "Not recorded yet: `make bench NAME=load RECORD=1`." in page
    assert page.startswith("# Title\n\nBefore preview.\n<!-- preview -->\n")
    assert fill(page, folder) == page


def test_a_missing_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the lines '<!-- chat -->'"):
        fill(EMPTY.replace("<!-- chat -->", ""), tmp_path)
