"""Shows a report: a table on the terminal, JSON in a folder, sections of a page."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from emulator.instance import PROJECT
from tools.benchmarks.measurement import BUSY_SHARE, HEADER, BenchmarkReport, Table

UNRECORDED = PROJECT / ".bench"
RECORDED = PROJECT / "docs" / "explanation" / "performance"


def as_text(report: BenchmarkReport) -> str:
    """The report for a terminal."""
    lines = [f"{report.name}: {report.measures}", *_wrapped(facts(report)), ""]
    cells = [row.cells(too_busy=report.too_busy) for row in report.rows]
    lines += _aligned([list(HEADER), *cells])
    for table in report.tables:
        lines += ["", table.title, *_aligned([list(table.header), *map(list, table.rows)])]
    return "\n".join(lines) + "\n"


def facts(report: BenchmarkReport) -> list[str]:
    """What has to be known about the numbers, in sentences."""
    machine = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    found = [
        *report.constant,
        f"Measured on {report.date} in {report.seconds / 60:.1f} minutes: {machine}.",
        "The values are medians, with the lowest and the highest where there are several.",
        *report.notes,
    ]
    used = f"Other programs used {report.others:.0%} of the processors"
    if report.too_busy:
        found.append(
            f"{used}, which is more than {BUSY_SHARE:.0%}: the machine was too busy for a verdict."
        )
    else:
        found.append(f"{used}.")
    return found


def as_markdown(report: BenchmarkReport, pictures: Sequence[str]) -> str:
    """A section of a page; `pictures` are the addresses of the report's plots on that page."""
    lines = [" ".join(facts(report)), ""]
    rows = [row.cells(too_busy=report.too_busy) for row in report.rows]
    lines += [*_markdown_table(Table("", HEADER, rows)), ""]
    for plot, picture in zip(report.plots, pictures, strict=True):
        lines += [f"![{plot.title}]({picture})", ""]
    for table in report.tables:
        lines += [f"{table.title}:", "", *_markdown_table(table), ""]
    return "\n".join(lines)


def write(report: BenchmarkReport, folder: Path) -> Path:
    """Write NAME.json into the folder, and return it. The owner of the project owns it, too."""
    for made in [each for each in (folder.parent, folder) if not each.exists()]:
        made.mkdir()
        give_to_owner(made)
    file = folder / f"{report.name}.json"
    file.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
    give_to_owner(file)
    return file


def read(name: str, folder: Path) -> BenchmarkReport | None:
    """The report in NAME.json; None if there is none. Raises ValueError naming a broken file."""
    file = folder / f"{name}.json"
    if not file.exists():
        return None
    try:
        return BenchmarkReport.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is no report of this version ({error!r}): make it again with "
            f"`make bench NAME={name} RECORD=1`"
        ) from error


def give_to_owner(path: Path) -> None:
    """Give a file that root has made to the owner of the project."""
    if os.geteuid() == 0:
        owner = PROJECT.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _markdown_table(table: Table) -> list[str]:
    return [
        _markdown_row(table.header),
        _markdown_row(["---", *["---:"] * (len(table.header) - 1)]),
        *map(_markdown_row, table.rows),
    ]


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _wrapped(sentences: Sequence[str]) -> list[str]:
    return [f"  {sentence}" for sentence in sentences]
