"""Draws the plots of a report as SVG. The same report gives the same files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.benchmarks.measurement import BenchmarkReport, Plot, Spread
from tools.benchmarks.report import give_to_owner

COLOURS = ("#0969da", "#8c959f", "#bf8700", "#8250df", "#1a7f37")
WIDTH = 7.0  # inches
STYLE = {
    "font.size": 9,
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # text stays text, which is small and can be searched
    "svg.hashsalt": "ollamazure",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def draw_all(report: BenchmarkReport, folder: Path) -> list[Path]:
    """Draw a report's plots into a folder, and return them."""
    files = [folder / name for name in report.pictures]
    for plot, file in zip(report.plots, files, strict=True):
        draw(plot, file)
        give_to_owner(file)
    return files


def draw(plot: Plot, file: Path) -> None:
    """Draw one plot: bars from left to right, or lines if x is a number."""
    xs = [x for points in plot.series.values() for x, _ in points]
    lines = all(isinstance(x, int | float) for x in xs)
    height = 3.0 if lines else 1.0 + 0.22 * len(xs)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        (_draw_lines if lines else _draw_bars)(axes, plot)
        axes.set_title(plot.title, loc="left")
        if len(plot.series) > 1:
            axes.legend()
        with warnings.catch_warnings():  # of fonts: a reader's browser has its own
            warnings.simplefilter("ignore")
            figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None})
    # matplotlib leaves spaces at the ends of lines.
    text = "\n".join(line.rstrip() for line in file.read_text("utf-8").splitlines())
    file.write_text(f"{text}\n", encoding="utf-8")


def _draw_bars(axes: Axes, plot: Plot) -> None:
    names = list(dict.fromkeys(x for points in plot.series.values() for x, _ in points))
    thickness = 0.8 / len(plot.series)
    for number, (label, points) in enumerate(plot.series.items()):
        places = [names.index(x) + (number + 0.5) * thickness - 0.4 for x, _ in points]
        spreads = [spread for _, spread in points]
        axes.barh(
            places,
            [spread.median for spread in spreads],
            thickness,
            xerr=_errors(spreads),
            error_kw={"elinewidth": 0.8},
            color=_colour(number),
            label=label,
        )
    axes.set_yticks(range(len(names)), [str(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(plot.y)
    axes.set_ylabel(plot.x)


def _draw_lines(axes: Axes, plot: Plot) -> None:
    for number, (label, points) in enumerate(plot.series.items()):
        axes.errorbar(
            [float(x) for x, _ in points],
            [spread.median for _, spread in points],
            yerr=_errors([spread for _, spread in points]),
            marker="o",
            markersize=3,
            elinewidth=0.8,
            color=_colour(number),
            label=label,
        )
    xs = [float(x) for points in plot.series.values() for x, _ in points]
    counted = all(isinstance(x, int) for points in plot.series.values() for x, _ in points)
    if counted and max(xs) >= 100 * min(xs):
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)


def _errors(spreads: Sequence[Spread]) -> list[list[float]]:
    return [
        [spread.median - spread.lowest for spread in spreads],
        [spread.highest - spread.median for spread in spreads],
    ]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
