"""Where the seconds of a program go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.instance import PROJECT
from tools.benchmarks.program_profile import ProgramClock, config_of, import_lines, profile_rows
from tools.benchmarks.program_profile import run_python as python

pytestmark = pytest.mark.unit

PRINTED = """\
import time: self [us] | cumulative | imported package
import time:      2000 |       2000 |   pydantic.fields
import time:      1500 |       3500 | pydantic
a line of the program
import time:       700 |        700 | json
"""


def test_imports_count_for_their_package() -> None:
    assert profile_rows(PRINTED) == [("pydantic", "4", "2"), ("json", "1", "1")]


def test_only_the_imports_of_a_program_are_run(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import json\nfrom os import path\nprint('run')\n")
    assert import_lines(program) == "import json\nfrom os import path"


def test_settings_are_those_that_the_engine_passes() -> None:
    config = config_of(PROJECT / "Pulumi.local.yaml")
    assert config["ollamazure:location"] == "francecentral"
    assert json.loads(config["ollamazure:models"]) == ["smollm2:135m"]


def test_the_clock_measures_only_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ProgramClock(tmp_path)
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    python("print()")
    assert not (tmp_path / "program-clock").exists()
    program = tmp_path / "program.py"
    program.write_text("sum(range(10**5))\n")
    python(f"import subprocess, sys; subprocess.run([sys.executable, {str(program)!r}])")
    taken = clock.take()
    assert 0 < taken["processor"] <= taken["elapsed"] + 0.1
    assert not (tmp_path / "program-clock").exists()
