"""Commands that query a machine which is off because its working hours are over."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ollamazure.azure.az import AzError
from ollamazure.azure.power import StackMachine
from ollamazure.operate import drift, schedule, status
from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import PROJECT, OperateError
from ollamazure.settings.working_hours import WorkingHours
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS, pulumi

HOURS = {
    "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "start": "07:00",
    "end": "19:00",
    "timeZone": "Europe/Paris",
}
CHAT = {
    **OUTPUTS,
    "url": "https://192.0.2.1",
    "certificateTrust": {"system": False, "authorities": ""},
    "models": ["llama3.2:1b"],
    "vmSize": "Standard_B2ms",
}
AT_NIGHT = datetime(2027, 2, 5, 22, 0, tzinfo=UTC)  # a Friday
AT_NOON = datetime(2027, 2, 5, 11, 0, tzinfo=UTC)


class Machine:
    """What Azure answers of a machine, and whether it was asked."""

    def __init__(self, state: str | None) -> None:
        self.answer, self.asked = state, 0

    def state(self) -> str:
        self.asked += 1
        if self.answer is None:
            raise AzError("the az command is not installed")
        return self.answer


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine("deallocated")
    monkeypatch.setattr(StackMachine, "of", lambda *_: found)
    return found


def report(now: datetime, **outputs: Any) -> str | None:
    return schedule.stopped_by_schedule("dev", "pulumi", {**CHAT, **outputs}, now)


def test_it_says_when_the_machine_starts(machine: Machine) -> None:
    assert report(AT_NIGHT, workingHours=HOURS) == (
        "The machine is off outside its working hours (Monday to Friday, 07:00 to 19:00, "
        "Europe/Paris), and the schedule starts it on Monday 2027-02-08 at 07:00 (Europe/Paris). "
        "Now: bin/ollamazure start --stack dev"
    )
    assert machine.asked == 1


@pytest.mark.parametrize("state", ["running", "starting", None])
def test_a_machine_that_runs_or_that_azure_does_not_show_is_queried_as_always(
    machine: Machine, state: str | None
) -> None:
    machine.answer = state
    assert report(AT_NIGHT, workingHours=HOURS) is None


def test_azure_is_not_queried_in_the_hours_or_without_them(machine: Machine) -> None:
    assert report(AT_NOON, workingHours=HOURS) is None
    assert report(AT_NIGHT) is None
    assert machine.asked == 0


def stack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stack whose hours are over, and whose machine no one can reach."""

    async def no_ssh(*_: Any) -> Any:
        raise OperateError("SSH to the machine failed")

    monkeypatch.setattr(MachineConnection, "query", no_ssh)
    monkeypatch.setattr(WorkingHours, "include", lambda *_: False)
    outputs = folder / "outputs.json"
    outputs.write_text(json.dumps({**CHAT, "workingHours": HOURS}))
    refreshed = json.dumps({"steps": []})
    script = (
        f"case \"$1\" in stack) cat {outputs};; refresh) echo '{refreshed}';; *) echo '{{}}';; esac"
    )
    return pulumi(folder, script)


@pytest.mark.usefixtures("machine")
def test_status_has_an_exit_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.run("dev", stack(tmp_path, monkeypatch)) == 3
    assert "dev: The machine is off outside its working hours" in capsys.readouterr().out


@pytest.mark.usefixtures("machine")
def test_a_program_reads_when_the_machine_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monday = datetime(2027, 2, 8, 7, 0, tzinfo=ZoneInfo("Europe/Paris"))
    monkeypatch.setattr(WorkingHours, "next_start", lambda *_: monday)
    assert status.run("dev", stack(tmp_path, monkeypatch), as_json=True) == 3
    printed = json.loads(capsys.readouterr().out)
    page = (PROJECT / "docs/reference/status.md").read_text()
    documented = json.loads(page.split("```json\n")[2].split("```")[0])
    assert printed | {"time": documented["time"]} == documented


@pytest.mark.usefixtures("machine")
def test_drift_still_compares_azure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.md"
    assert drift.run("dev", stack(tmp_path, monkeypatch), report) == 3
    printed = capsys.readouterr().out
    assert "No drift: the cloud of the stack dev is as declared." in printed
    assert "Not compared: the machine of the stack dev. The machine is off" in printed
    assert report.read_text().startswith("<!-- drift: stopped -->\n")


def test_drift_of_azure_counts_although_the_machine_is_off() -> None:
    differs = drift.DriftReport("cloud", [{"resource": "nsg", "what": "differs"}])
    assert drift.outcome_of([differs, drift.DriftReport("machine", stopped="off")]) == "found"
    unknown = drift.DriftReport("cloud", error="no answer")
    assert drift.outcome_of([unknown, drift.DriftReport("machine", stopped="off")]) == "unknown"
