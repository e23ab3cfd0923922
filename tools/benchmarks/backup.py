"""How fast a chat is saved and restored, with restic and a repository on this disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from emulator.instance import PROJECT
from tools.benchmarks.measurement import Plot, Spread
from tools.benchmarks.run import Benchmark, Run

ROUNDS = 3
MIB = 256
"""Of the database, and of the uploads."""
PAIRS = {"first backup": "tar", "next backup": "tar", "restore": "untar"}


def measure(run: Run) -> None:
    found: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        run.say(f"round {number + 1} of {ROUNDS}")
        for name, taken in _times().items():
            found.setdefault(name, []).append(taken)
    spreads = {name: Spread.of(*values) for name, values in found.items()}
    for name, reference in PAIRS.items():
        run.row(name, "s", spreads[name], spreads[reference])
    run.plots.append(
        Plot(
            f"Saving and restoring {2 * MIB} MiB",
            "",
            "seconds",
            {
                "restic": [(name, spreads[name]) for name in PAIRS],
                "tar": [(name, spreads[reference]) for name, reference in PAIRS.items()],
            },
        )
    )


def _times() -> dict[str, float]:
    """Seconds of each step, with a chat and a repository that are made for it."""
    printed = subprocess.run(
        [sys.executable, "-m", "tools.benchmarks.backup_times", str(MIB)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": "guest/usr/local/lib/ollamazure"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    times: dict[str, float] = json.loads(printed.splitlines()[-1])
    return times


BENCHMARK = Benchmark(
    name="backup",
    measures="a backup, the next one, and a restore with its verification, without a machine",
    constant=(
        f"The same files on the same disk: a database and uploads of {MIB} MiB each, of which half "
        "compresses. The repository is on that disk, too.",
        f"The reference is tar without compression. {ROUNDS} times, with new files each time.",
    ),
    minutes=20,
    measure=measure,
)
