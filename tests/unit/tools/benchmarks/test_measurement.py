"""Spreads, ratios, goals and verdicts, and the report that is kept of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tools.benchmarks.measurement import (
    BenchmarkReport,
    Comparison,
    Goal,
    Plot,
    Spread,
    Table,
    number,
    ratio,
)

pytestmark = pytest.mark.unit

REPORT = BenchmarkReport(
    name="chat",
    measures="how long people wait",
    constant=("The same machine.",),
    date="2026-11-30",
    seconds=75.5,
    machine={"processors": "2 of something", "memory": "24 GiB"},
    others=0.02,
    rows=(
        Comparison(
            "first token", "ms", Spread.of(60, 50, 70), Spread.of(40), Goal("difference", 30)
        ),
        Comparison("speed", "tokens/s", Spread.of(90), Spread.of(100), Goal("ratio", 0.97, True)),
        Comparison("errors", "", Spread.of(0), goal=Goal("value", 0)),
        Comparison("longest wait", "ms", Spread.of(900), Spread.of(800)),
    ),
    plots=(Plot("Waits", "people", "ms", {"ours": [(1, Spread.of(60)), (4, Spread.of(90))]}),),
    tables=(Table("Profile", ("part", "seconds"), [("imports", "1.2")]),),
    notes=("A note.",),
)


def test_a_spread_has_median_lowest_and_highest() -> None:
    spread = Spread.of(3, 1, 2, 10)
    assert (spread.median, spread.lowest, spread.highest) == (2.5, 1, 10)
    assert spread.text() == "2.50 (1-10)"
    assert Spread.of(7).text() == "7"


def test_a_spread_has_a_value() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (1.234, "1.23"), (-12.34, "-12.3"), (1234.5, "1234"), (5.0, "5")],
)
def test_a_number_has_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_ratio_is_of_the_medians() -> None:
    assert ratio(Spread.of(1, 3, 2), Spread.of(4, 4, 400)) == 0.5
    assert ratio(Spread.of(1), Spread.of(0)) is None


@pytest.mark.parametrize(
    ("goal", "ours", "met"),
    [
        (Goal("ratio", 1.3), 130, True),
        (Goal("ratio", 1.3), 131, False),
        (Goal("ratio", 0.97, at_least=True), 97, True),
        (Goal("ratio", 0.97, at_least=True), 96, False),
        (Goal("difference", 30), 130, True),
        (Goal("difference", 30), 131, False),
        (Goal("value", 0), 0, True),
        (Goal("value", 0), 1, False),
    ],
)
def test_a_goal_limits_ratio_difference_or_value(goal: Goal, ours: float, met: bool) -> None:
    assert goal.met(Spread.of(ours), Spread.of(100)) is met


def test_a_goal_without_a_reference_has_no_verdict() -> None:
    assert Goal("ratio", 1).met(Spread.of(1), None) is None
    assert Goal("ratio", 1).met(Spread.of(1), Spread.of(0)) is None
    row = Comparison("time", "s", Spread.of(1), goal=Goal("ratio", 1))
    assert row.verdict(too_busy=False) == ""


def test_the_verdicts_of_a_report() -> None:
    verdicts = [row.verdict(too_busy=REPORT.too_busy) for row in REPORT.rows]
    assert verdicts == ["met", "missed", "met", ""]


def test_a_busy_machine_has_no_verdict() -> None:
    busy = replace(REPORT, others=0.5)
    assert busy.too_busy and not REPORT.too_busy
    verdicts = {row.verdict(too_busy=busy.too_busy) for row in busy.rows}
    assert verdicts == {"no verdict", ""}


def test_the_columns_of_a_row() -> None:
    first, _, errors, longest = (row.cells(too_busy=False) for row in REPORT.rows)
    assert first == ["first token, ms", "60 (50-70)", "40", "1.50", "at most 30 more", "met"]
    assert errors == ["errors", "0", "", "", "at most 0", "met"]
    assert longest[3:] == ["1.12", "", ""]


def test_json_has_what_follows_from_the_values() -> None:
    kept = json.loads(json.dumps(REPORT.as_json()))
    assert kept["too_busy"] is False
    first, _, errors, _ = kept["rows"]
    assert first["ours"] == {"median": 60, "lowest": 50, "highest": 70, "values": [60, 50, 70]}
    assert (first["ratio"], first["verdict"]) == (1.5, "met")
    assert first["goal"] == {"of": "difference", "limit": 30, "at_least": False}
    assert errors["reference"] is None and errors["ratio"] is None


def test_a_report_comes_back_from_json() -> None:
    kept = json.loads(json.dumps(REPORT.as_json()))
    again = BenchmarkReport.from_json(kept).as_json()
    assert json.loads(json.dumps(again)) == kept
