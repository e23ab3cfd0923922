"""The table on the terminal, the JSON in a folder, and a section of a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.tools.benchmarks.test_measurement import REPORT
from tools.benchmarks import report

pytestmark = pytest.mark.unit


def test_the_terminal_gets_facts_and_an_aligned_table() -> None:
    text = report.as_text(REPORT)
    assert text.startswith("chat: how long people wait\n  The same machine.\n  Measured on ")
    assert "Other programs used 2% of the processors." in text
    header, first = (
        next(line for line in text.splitlines() if line.startswith(start))
        for start in ("what ", "first token, ms ")
    )
    assert header.index("ratio") + len("ratio") == first.index("1.50") + len("1.50")
    assert "\nProfile\npart " in text


def test_a_busy_machine_is_stated() -> None:
    text = report.as_text(replace(REPORT, others=0.4))
    assert "used 40% of the processors, which is more than 10%" in text
    assert "no verdict" in text


def test_a_page_gets_tables_and_pictures() -> None:
    text = report.as_markdown(REPORT, ["performance/chat-1.svg"])
    assert "| what | this project | reference | ratio | goal | verdict |\n| --- | ---: |" in text
    assert "| errors | 0 |  |  | at most 0 | met |" in text
    assert "![Waits](performance/chat-1.svg)" in text
    assert "Profile:\n\n| part | seconds |" in text


def test_a_written_report_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    folder.parent.mkdir()
    assert report.write(REPORT, folder) == folder / "chat.json"
    found = report.read("chat", folder)
    assert found is not None and found.rows == list(REPORT.rows)
    assert report.read("memory", folder) is None


def test_a_broken_report_names_its_file_and_its_fix(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text('{"rows": []}')
    with pytest.raises(
        ValueError, match=r"chat\.json is no report .*make bench NAME=chat RECORD=1"
    ):
        report.read("chat", tmp_path)
