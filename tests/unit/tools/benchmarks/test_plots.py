"""The plots of a report: small, readable, and the same for the same report."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.unit.tools.benchmarks.test_measurement import REPORT
from tools.benchmarks import plots
from tools.benchmarks.measurement import Plot, Spread

pytestmark = pytest.mark.unit

BARS = Plot(
    "A change",
    "",
    "seconds",
    {
        "pulumi up": [("a user", Spread.of(7, 8, 9)), ("a preset", Spread.of(13))],
        "a preview": [("a user", Spread.of(6)), ("a preset", Spread.of(6))],
    },
)


def texts(file: Path) -> set[str]:
    """The texts of a picture, which stay text."""
    elements = ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")
    return {element.text or "" for element in elements}


def test_bars_are_named(tmp_path: Path) -> None:
    file = tmp_path / "bars.svg"
    plots.draw(BARS, file)
    assert texts(file) >= {"A change", "seconds", "a user", "a preset", "pulumi up", "a preview"}
    assert file.stat().st_size < 30_000


def test_numbers_make_lines(tmp_path: Path) -> None:
    (file,) = plots.draw_all(REPORT, tmp_path)
    assert file.name == "chat-1.svg" == REPORT.pictures[0]
    assert texts(file) >= {"Waits", "people", "ms"}


def test_the_same_report_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plots.draw(BARS, tmp_path / name)
    content = (tmp_path / "a.svg").read_text()
    assert content == (tmp_path / "b.svg").read_text()
    assert not [line for line in content.splitlines() if line != line.rstrip()]
