"""Measures this project and its references side by side: `make bench`, `make bench NAME=chat`.

python -m tools.benchmarks [--record] [NAME…]
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tools.benchmarks import performance_page, report
from tools.benchmarks.inventory import NAMES, load
from tools.benchmarks.measurement import BenchmarkReport
from tools.benchmarks.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named, or all; 1 if one of them could not be run."""
    options = parse(arguments)
    # The machines of a benchmark are removed when it is ended.
    signal.signal(signal.SIGTERM, _end)
    failed = []
    for name in options.names or NAMES:
        print(f"{name} …", flush=True)
        try:
            finished = run(load(name))
        except Exception:  # the others still run
            traceback.print_exc()
            failed.append(name)
        else:
            print(report.as_text(finished), flush=True)
            keep(finished, record=options.record)
    if failed:
        print(f"make bench: could not measure {', '.join(failed)}; see above", file=sys.stderr)
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks", description=__doc__)
    parser.add_argument(
        "--record",
        action="store_true",
        help="for docs/explanation/performance.md, instead of into .bench/",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(
            f"there is no benchmark {', '.join(map(repr, unknown))}. "
            f"Give one or more of {', '.join(NAMES)}, as in `make bench NAME=chat`"
        )
    return options


def keep(finished: BenchmarkReport, *, record: bool) -> None:
    """Write the report, and if it is recorded its plots and the page."""
    folder: Path = report.RECORDED if record else report.UNRECORDED
    print(f"Written: {report.write(finished, folder)}")
    if not record:
        return
    from tools.benchmarks import plots  # noqa: PLC0415 - takes a second

    plots.draw_all(finished, folder)
    page = performance_page.PAGE
    page.write_text(performance_page.fill(page.read_text("utf-8")), encoding="utf-8")
    report.give_to_owner(page)
    print(f"Written: {page}")


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
