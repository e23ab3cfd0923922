"""`bin/az-local`: the commands of the Azure CLI that start and stop a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator import az
from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.unit.emulator.azure.cloud import BODIES

MACHINE = ["--resource-group", "CHAT", "--name", "vm"]  # Azure ignores the case of a group


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of an emulated Azure in plan mode."""
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(tmp_path))
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    azure = Azure(Instance.open(), NullFabric())
    for resource_id, body in BODIES.items():
        azure.wait(azure.put(resource_id, body))


def state(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert az.main(["vm", "get-instance-view", *MACHINE, "--output", "json"]) == 0
    statuses = json.loads(capsys.readouterr().out)["instanceView"]["statuses"]
    return str(statuses[-1]["code"])


@pytest.mark.usefixtures("machine")
def test_a_machine_stops_and_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert state(capsys) == "PowerState/running"
    for command, end in (("deallocate", "deallocated"), ("deallocate", "deallocated")):
        assert az.main(["vm", command, *MACHINE, "--subscription", "any"]) == 0
        assert state(capsys) == f"PowerState/{end}"
    assert az.main(["vm", "start", *MACHINE, "--no-wait"]) == 0
    assert state(capsys) == "PowerState/running"


@pytest.mark.usefixtures("machine")
def test_what_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert az.main(["vm", "start", "--resource-group", "chat", "--name", "other"]) == 3
    assert "ERROR: (ResourceNotFound)" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        az.main(["vm", "delete", *MACHINE])


def test_the_subscription(capsys: pytest.CaptureFixture[str]) -> None:
    assert az.main(["account", "show"]) == 0
    assert json.loads(capsys.readouterr().out)["id"].startswith("00000000-")
