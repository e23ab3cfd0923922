"""The working hours in Azure and on the machine: what the program registers."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from emulator.azure.power import ACTIONS
from tests.unit.components.recorder import Recorder
from tests.unit.components.test_cloud import CALLS, whole_program

HOURS = {"start": "07:00", "end": "19:30", "timeZone": "Europe/Paris", "days": ["monday", "friday"]}
VM = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ollamazure-dev/providers"
    "/Microsoft.Compute/virtualMachines/vm"
)


@pytest.fixture(scope="module")
def schedule() -> Recorder:
    return whole_program("dev", workingHours=HOURS)


def test_without_hours_there_is_no_schedule() -> None:
    recorded = whole_program("dev")
    assert not [it for it in recorded.resources if "schedule" in it.name or "hours" in it.name]


@pytest.mark.parametrize(
    ("name", "operation", "at"), [("start", "start", (7, 0)), ("stop", "deallocate", (19, 30))]
)
def test_each_workflow_calls_one_operation_at_its_time(
    schedule: Recorder, name: str, operation: str, at: tuple[int, int]
) -> None:
    workflow = schedule.named(f"schedule-{name}").inputs
    assert workflow["workflowName"] == f"vm-{name}"
    assert workflow["tags"]["stack"] == "dev"
    definition = workflow["definition"]
    [trigger] = definition["triggers"].values()
    assert trigger["recurrence"]["schedule"] == {
        "weekDays": ["Monday", "Friday"],
        "hours": [at[0]],
        "minutes": [at[1]],
    }
    assert trigger["recurrence"]["timeZone"] == "Romance Standard Time"
    [action] = definition["actions"].values()
    assert action["inputs"]["method"] == "POST"
    assert action["inputs"]["uri"].split("?")[0] == f"https://management.azure.com{VM}/{operation}"
    assert operation in ACTIONS
    [identity] = workflow["identity"]["userAssignedIdentities"]
    assert action["inputs"]["authentication"]["identity"] == identity


def test_no_workflow_runs_when_it_is_created(schedule: Recorder) -> None:
    """Azure runs a recurrence without a start at once: the machine would stop during `up`."""
    for name in ("schedule-start", "schedule-stop"):
        [trigger] = schedule.named(name).inputs["definition"]["triggers"].values()
        assert trigger["recurrence"]["startTime"] == "2026-01-01T00:00:00"


def test_utc_has_no_time_zone_and_a_start_with_z() -> None:
    recorded = whole_program("dev", workingHours={**HOURS, "timeZone": "UTC"})
    [trigger] = recorded.named("schedule-stop").inputs["definition"]["triggers"].values()
    assert "timeZone" not in trigger["recurrence"]
    assert trigger["recurrence"]["startTime"] == "2026-01-01T00:00:00Z"


def is_true(condition: str, now: str) -> bool:
    """What the expression of Logic Apps is at a local time of day; it has four functions."""
    text = re.sub(r"convertFromUtc\(utcNow\(\), '[^']*', 'HH:mm'\)", f"'{now}'", condition)
    names: dict[str, Any] = {
        "less": lambda a, b: a < b,
        "greaterOrEquals": lambda a, b: a >= b,
        "or_": lambda a, b: a or b,
        "not_": lambda a: not a,
    }
    text = text.removeprefix("@").replace("or(", "or_(").replace("not(", "not_(")
    return bool(eval(text, {"__builtins__": {}}, names))  # noqa: S307


@pytest.mark.parametrize(
    ("now", "inside"),
    [("00:00", False), ("06:59", False), ("07:00", True), ("19:29", True), ("19:30", False)],
)
def test_a_late_run_neither_stops_the_machine_in_its_hours_nor_starts_it_outside(
    schedule: Recorder, now: str, inside: bool
) -> None:
    for name, expected in (("schedule-start", inside), ("schedule-stop", not inside)):
        [trigger] = schedule.named(name).inputs["definition"]["triggers"].values()
        [condition] = trigger["conditions"]
        assert is_true(condition["expression"], now) is expected


def test_the_schedule_may_start_and_stop_the_machine_and_nothing_else(schedule: Recorder) -> None:
    access = schedule.named("schedule-access")
    assert access.inputs["scope"] == VM
    assert access.inputs["roleDefinitionId"].endswith("/40c5ff49-9181-41f8-ae61-143b0e78555e")
    known = CALLS["azure-native:managedidentity:getUserAssignedIdentity"]
    assert access.inputs["principalId"] == known["principalId"]
    assert access.inputs["principalType"] == "ServicePrincipal"
    assert uuid.UUID(access.inputs["roleAssignmentName"])
    assert access.delete_before_replace


def test_the_machines_own_work_is_within_the_hours(schedule: Recorder) -> None:
    script = schedule.named("working-hours").inputs["stdin"]
    for timer, at in (
        ("apt-daily", "17:00"),
        ("apt-daily-upgrade", "18:00"),
        ("ollamazure-cleanup", "18:30"),
    ):
        dropin = script.partition(f"put /etc/systemd/system/{timer}.timer.d/")[2]
        assert f"OnCalendar=\nOnCalendar=Mon,Fri *-*-* {at}:00 Europe/Paris\n" in dropin[:600]
    assert schedule.named("working-hours").inputs["delete"].count("working-hours off") == 1
    backup = schedule.named("backup").inputs["stdin"]
    assert "OnCalendar=Mon,Fri *-*-* 17:30:00 Europe/Paris\n" in backup


def test_old_chats_are_deleted_in_the_hours_before_the_backup() -> None:
    recorded = whole_program("dev", workingHours=HOURS, chatDays=90)
    script = recorded.named("expire-chats").inputs["stdin"]
    assert "OnCalendar=Mon,Fri *-*-* 16:30:00 Europe/Paris\n" in script


def test_the_webhook_knows_the_days_between_backups() -> None:
    hook = {"webhook": "https://hooks.example.com/token"}
    for settings, days in ((hook, 1), ({**hook, "workingHours": HOURS}, 4)):
        script = whole_program("dev", **settings).named("webhook").inputs["stdin"]
        assert f'"daysBetweenBackups": {days}' in script


def test_a_backup_has_the_time_that_is_set() -> None:
    recorded = whole_program("dev", workingHours=HOURS, backup={"time": "12:15"})
    assert (
        "OnCalendar=Mon,Fri *-*-* 12:15:00 Europe/Paris\n"
        in recorded.named("backup").inputs["stdin"]
    )
