"""docs/explanation/performance.md: its text is written by hand, its numbers come from the reports.

Each benchmark has a place between two comments: `<!-- chat -->` and `<!-- chat: end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from emulator.instance import PROJECT
from tools.benchmarks import report
from tools.benchmarks.inventory import NAMES

PAGE = PROJECT / "docs" / "explanation" / "performance.md"


def fill(text: str, folder: Path = report.RECORDED) -> str:
    """The page with the recorded reports of `folder` in their places.

    Raises:
        ValueError: a place is missing, or a report cannot be read.
    """
    for name in NAMES:
        begin, end = f"<!-- {name} -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{PAGE.name} needs the lines {begin!r} and {end!r} once each")
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        section = f"{begin}\n{_section(name, folder)}\n{end}"
        # A backslash in it is no escape.
        text = place.sub(section.replace("\\", r"\\"), text)
    return text


def _section(name: str, folder: Path) -> str:
    found = report.read(name, folder)
    if found is None:
        return f"Not recorded yet: `make bench NAME={name} RECORD=1`."
    pictures = [f"{folder.name}/{picture}" for picture in found.pictures]
    return report.as_markdown(found, pictures).rstrip()
