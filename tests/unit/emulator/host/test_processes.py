"""Helpers outlive their caller, are started once, and no other process is ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.azure.fabric import FabricError
from emulator.host.places import Places
from emulator.host.processes import Processes
from emulator.instance import Instance


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(Places(Instance(tmp_path, "abcdef", 7)))


def _pid(tmp_path: Path) -> int:
    return int(json.loads((tmp_path / "host/processes/helper.json").read_text())["pid"])


def test_a_helper_is_started_once_and_again_when_it_died(
    processes: Processes, tmp_path: Path
) -> None:
    processes.ensure("helper", ["sleep", "60"], ready=lambda: True)
    first = _pid(tmp_path)
    processes.ensure("helper", ["sleep", "60"], ready=lambda: True)
    assert _pid(tmp_path) == first
    processes.ensure("helper", ["sleep", "61"], ready=lambda: True)
    assert _pid(tmp_path) != first
    assert not Path(f"/proc/{first}").exists()
    processes.stop("helper")
    assert not processes.alive("helper")
    assert processes.names() == []


def test_a_helper_that_dies_at_once_says_why(processes: Processes) -> None:
    with pytest.raises(FabricError, match="no such tap"):
        processes.ensure("helper", ["sh", "-c", "echo no such tap; exit 1"], ready=lambda: False)


def test_another_process_with_the_same_pid_is_left_alone(
    processes: Processes, tmp_path: Path
) -> None:
    processes.ensure("helper", ["sleep", "60"], ready=lambda: True)
    file = tmp_path / "host/processes/helper.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"started": "another boot:1"}))
    processes.stop("helper")
    assert Path(f"/proc/{record['pid']}").exists()
    file.write_text(json.dumps(record))
    processes.stop("helper")
    assert not Path(f"/proc/{record['pid']}").exists()
