"""Where the seconds of the program's own process go: imports, settings, and the rest."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from emulator.instance import PROJECT
from tools.benchmarks.measurement import Spread, Table
from tools.benchmarks.run import alternate

CLOCK = Path(__file__).parent / "program_clock"
SHOWN = 12
# As the language host does for a short program.
_WITHOUT_GARBAGE = "import gc\ngc.disable()\n"
_CONFIGURE = """
import json, sys, time
from pulumi.runtime.config import set_all_config
set_all_config(json.load(sys.stdin), [])
began = time.process_time()
settings = load(pulumi.Config("ollamazure"))
plan = make_plan(settings)
print(time.process_time() - began)
"""
_TIMED = "import time\nprint(time.process_time())\n"


@dataclass(frozen=True)
class ProgramTimes:
    """Processor seconds of parts of the program, each in a fresh process."""

    python: Spread
    imports: Spread
    settings: Spread


class ProgramClock:
    """Measures the program's process in each run of the CLI that has `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "program-clock"
        self.environment = {
            "PYTHONPATH": str(CLOCK),
            "OLLAMAZURE_PROGRAM_CLOCK": str(self._file),
        }

    def take(self) -> dict[str, float]:
        """`elapsed` and `processor` seconds of the last run, which is then forgotten."""
        lines = self._file.read_text("utf-8").splitlines()
        self._file.unlink()
        found: dict[str, float] = json.loads(lines[-1])
        return found


def measure_program(stack: str, rounds: int) -> ProgramTimes:
    """Run the program's imports, and then its settings, `rounds` times each."""
    imports = import_lines(PROJECT / "__main__.py")
    config = config_of(PROJECT / f"Pulumi.{stack}.yaml")
    found = alternate(
        {
            "python": lambda: float(run_python(_TIMED)),
            "imports": lambda: float(run_python(f"{_WITHOUT_GARBAGE}{imports}\n{_TIMED}")),
            "settings": lambda: float(
                run_python(f"{_WITHOUT_GARBAGE}{imports}\n{_CONFIGURE}", json.dumps(config))
            ),
        },
        rounds,
    )
    return ProgramTimes(found["python"], found["imports"], found["settings"])


def import_lines(program: Path) -> str:
    """The import statements of a program."""
    tree = ast.parse(program.read_text("utf-8"))
    kinds = (ast.Import, ast.ImportFrom)
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, kinds))


def config_of(file: Path) -> dict[str, str]:
    """The settings of a stack's file as the engine passes them to a program."""
    config: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))["config"]
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }


def run_python(code: str, text: str = "") -> str:
    """What code prints in a fresh interpreter, in the project's folder. Raises RuntimeError."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def import_profile() -> Table:
    """The packages whose import takes longest, by what `python -X importtime` states."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", import_lines(PROJECT / "__main__.py")],
        cwd=PROJECT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=True,
    )
    return Table(
        "The longest imports, with everything that they import for the first time left out",
        ("package", "milliseconds", "modules"),
        profile_rows(done.stderr),
    )


def profile_rows(printed: str) -> list[tuple[str, str, str]]:
    """Package, milliseconds and number of modules, from the output of `-X importtime`."""
    times: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    for line in printed.splitlines():
        alone, _, rest = line.removeprefix("import time:").partition("|")
        if not line.startswith("import time:") or not alone.strip().isdigit():
            continue
        package = rest.rpartition("|")[2].strip().partition(".")[0]
        times[package] += int(alone)
        modules[package] += 1
    return [
        (package, f"{microseconds / 1000:.0f}", str(modules[package]))
        for package, microseconds in times.most_common(SHOWN)
    ]
