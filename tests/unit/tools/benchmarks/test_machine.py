"""What is ended before an emulated Azure is removed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.artifacts import paths
from tools.benchmarks.machine import commands_on

pytestmark = pytest.mark.unit


def test_a_cli_is_found_by_the_emulated_azure_that_it_works_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when what started it has ended, so that it is no child any more."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths.pulumi().parent.mkdir(parents=True)
    shutil.copy(shutil.which("cat") or "cat", paths.pulumi())
    environment = {**os.environ, "OLLAMAZURE_EMULATOR": str(tmp_path / "ours")}
    with subprocess.Popen([paths.pulumi()], stdin=subprocess.PIPE, env=environment) as cli:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env=environment) as other:
            ours, others = commands_on(tmp_path / "ours"), commands_on(tmp_path / "others")
            other.terminate()
        cli.terminate()
    assert (ours, others) == ([cli.pid], [])
