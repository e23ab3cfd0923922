"""What a benchmark measures: values with their spread, comparisons with a goal, and the report."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

BUSY_SHARE = 0.10
"""If other programs used more of the processors than this, a run has no verdict."""

Verdict = Literal["met", "missed", "no verdict", ""]


@dataclass(frozen=True)
class Spread:
    """The values of one thing, in the order in which they were measured; at least one."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("nothing was measured")

    @classmethod
    def of(cls, *values: float) -> Spread:
        return cls(tuple(float(value) for value in values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        return min(self.values)

    @property
    def highest(self) -> float:
        return max(self.values)

    def text(self) -> str:
        """The median, and lowest and highest where there are several values."""
        if len(self.values) == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(self.lowest)}-{number(self.highest)})"


@dataclass(frozen=True)
class Goal:
    """A limit for the ratio to the reference, the difference from it, or the value itself.

    Attributes:
        of: what is limited.
        limit: the most, or with `at_least` the least; a difference and a value have the row's unit.
    """

    of: Literal["ratio", "difference", "value"]
    limit: float
    at_least: bool = False

    def met(self, ours: Spread, reference: Spread | None) -> bool | None:
        """Whether the medians meet the goal; None if there is nothing to compare with."""
        measured = self._measured(ours, reference)
        if measured is None:
            return None
        return measured >= self.limit if self.at_least else measured <= self.limit

    def _measured(self, ours: Spread, reference: Spread | None) -> float | None:
        if self.of == "value":
            return ours.median
        if reference is None:
            return None
        if self.of == "difference":
            return ours.median - reference.median
        return ratio(ours, reference)

    def text(self) -> str:
        bound = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        return {"ratio": f"{bound} times", "difference": f"{bound} more", "value": bound}[self.of]


@dataclass(frozen=True)
class Comparison:
    """One thing, measured for this project and for its reference in the same run."""

    what: str
    unit: str
    ours: Spread
    reference: Spread | None = None
    goal: Goal | None = None

    def ratio(self) -> float | None:
        return None if self.reference is None else ratio(self.ours, self.reference)

    def verdict(self, *, too_busy: bool) -> Verdict:
        met = self.goal.met(self.ours, self.reference) if self.goal else None
        if met is None:
            return ""
        if too_busy:
            return "no verdict"
        return "met" if met else "missed"

    def cells(self, *, too_busy: bool) -> list[str]:
        """The columns of a report: see HEADER."""
        times = self.ratio()
        return [
            f"{self.what}, {self.unit}" if self.unit else self.what,
            self.ours.text(),
            self.reference.text() if self.reference else "",
            "" if times is None else f"{times:.2f}",
            self.goal.text() if self.goal else "",
            self.verdict(too_busy=too_busy),
        ]


HEADER = ("what", "this project", "reference", "ratio", "goal", "verdict")


@dataclass(frozen=True)
class Plot:
    """A picture: lines if x is a number, else bars.

    Attributes:
        series: by name, each point with its x.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[str | float, Spread]]]


@dataclass(frozen=True)
class Table:
    """What a run found in addition to its rows, such as a profile."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class BenchmarkReport:
    """A run of one benchmark, as it is recorded.

    Attributes:
        constant: what was the same for this project and its reference, in sentences.
        machine: the machine and the versions that were measured.
        others: the share (0 to 1) of the processors that other programs used.
        notes: what a reader has to know about this run, in sentences.
    """

    name: str
    measures: str
    constant: Sequence[str]
    date: str
    seconds: float
    machine: Mapping[str, str]
    others: float
    rows: Sequence[Comparison] = ()
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = field(default=())

    @property
    def too_busy(self) -> bool:
        return self.others > BUSY_SHARE

    @property
    def pictures(self) -> list[str]:
        """The file names of the plots, in their order."""
        return [f"{self.name}-{number}.svg" for number, _ in enumerate(self.plots, 1)]

    def as_json(self) -> dict[str, Any]:
        """All of it, with what follows from the values, for readers without this module."""
        report = asdict(self) | {"too_busy": self.too_busy}
        report["rows"] = [
            asdict(row)
            | {"ours": _spread_as_json(row.ours), "ratio": row.ratio()}
            | ({"reference": _spread_as_json(row.reference)} if row.reference else {})
            | {"verdict": row.verdict(too_busy=self.too_busy)}
            for row in self.rows
        ]
        report["plots"] = [
            asdict(plot)
            | {
                "series": {
                    name: [[x, _spread_as_json(spread)] for x, spread in points]
                    for name, points in plot.series.items()
                }
            }
            for plot in self.plots
        ]
        return report

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> BenchmarkReport:
        """The report that `as_json` returned. Raises KeyError, TypeError or ValueError."""
        given = {key: value for key, value in report.items() if key != "too_busy"}
        given["rows"] = [_row_from_json(row) for row in given["rows"]]
        given["plots"] = [
            Plot(
                plot["title"],
                plot["x"],
                plot["y"],
                {
                    name: [(x, _spread_from_json(spread)) for x, spread in points]
                    for name, points in plot["series"].items()
                },
            )
            for plot in given["plots"]
        ]
        given["tables"] = [Table(**table) for table in given["tables"]]
        return cls(**given)


def ratio(ours: Spread, reference: Spread) -> float | None:
    """Median by median; None if the reference's is zero."""
    return ours.median / reference.median if reference.median else None


def number(value: float) -> str:
    """A value with about three digits."""
    size = abs(value)
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"


def _spread_as_json(spread: Spread) -> dict[str, Any]:
    return {
        "median": spread.median,
        "lowest": spread.lowest,
        "highest": spread.highest,
        "values": list(spread.values),
    }


def _spread_from_json(spread: Mapping[str, Any]) -> Spread:
    return Spread.of(*spread["values"])


def _row_from_json(row: Mapping[str, Any]) -> Comparison:
    reference, goal = row["reference"], row["goal"]
    return Comparison(
        row["what"],
        row["unit"],
        _spread_from_json(row["ours"]),
        _spread_from_json(reference) if reference else None,
        Goal(**goal) if goal else None,
    )
