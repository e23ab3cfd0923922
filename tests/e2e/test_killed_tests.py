"""Tests that are killed leave no machine, network or disk on the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.host import teardown
from emulator.instance import Instance
from tests.e2e.deployment import PROJECT, wait_until

TESTS = "tests/e2e/test_chat.py"


@pytest.mark.long
def test_the_machines_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    processes = ["--numprocesses", "1", "--max-worker-restart", "0"]
    command = [sys.executable, "-m", "pytest", *processes, "--basetemp", str(folder)]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen([*command, TESTS], cwd=PROJECT, stdout=log, stderr=log)

    def has_a_machine() -> bool:
        assert run.poll() is None, (tmp_path / "log").read_text()
        left = [teardown.verify_clean(instance) for instance in Instance.below(folder)]
        return any("process" in " ".join(things) for things in left)

    wait_until(has_a_machine, "a machine")
    instances = Instance.below(folder)
    (worker,) = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)
    assert run.wait() == pytest.ExitCode.TESTS_FAILED
    assert [teardown.verify_clean(instance) for instance in instances] == [[]] * len(instances)
