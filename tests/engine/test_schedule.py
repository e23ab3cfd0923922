"""The working hours on a deployed stack, and `pulumi up` on a machine that is off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import Stack, names
from tests.engine.test_settings import PROGRAM_FAILED

VM, WORKFLOW = "Microsoft.Compute/virtualMachines", "Microsoft.Logic/workflows"
ROLE = "Microsoft.Authorization/roleAssignments"
ADDED = {
    "schedule",
    "schedule-identity",
    "schedule-access",
    "schedule-start",
    "schedule-stop",
    "working-hours",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack `local`, deployed without working hours."""
    stack = Stack(tmp_path_factory.mktemp("schedule") / "emulator")
    stack.up()
    yield stack


def azure(stack: Stack) -> Azure:
    return Azure(Instance.open(stack.home), NullFabric())


def recurrence(stack: Stack, name: str) -> dict[str, Any]:
    [found] = [it for it in azure(stack).list(WORKFLOW) if it["name"] == name]
    [trigger] = found["properties"]["definition"]["triggers"].values()
    value: dict[str, Any] = trigger["recurrence"]
    return value


def test_a_deployed_machine_gets_working_hours(stack: Stack) -> None:
    (before,) = azure(stack).list(VM)
    stack.set("workingHours.start", "07:00")
    stack.set("workingHours.end", "19:30")
    stack.set("workingHours.timeZone", "Europe/Paris")
    steps = stack.preview()
    assert names(steps, "create") == ADDED
    # The backup moves into the hours, and the window for restarts goes; the VM and what runs on it
    # stay as they are.
    moved = {"backup", "machine-ready"}
    assert names(steps, "update") <= moved | {"pulumi-local", "ollamazure-local"}
    assert {step.op for step in steps} <= {"create", "update"}
    assert " a month instead of " in stack.run("preview")

    stack.up()
    (after,) = azure(stack).list(VM)
    assert after["properties"]["vmId"] == before["properties"]["vmId"]
    assert recurrence(stack, "vm-stop")["schedule"]["hours"] == [19]
    assert recurrence(stack, "vm-start")["timeZone"] == "Romance Standard Time"
    (role,) = azure(stack).list(ROLE)
    assert role["properties"]["scope"].lower() == after["id"].lower()
    assert stack.outputs()["workingHours"]["end"] == "19:30"
    assert stack.preview() == []


@pytest.mark.long
def test_other_hours_change_the_schedule_in_place(stack: Stack) -> None:
    stack.set("workingHours.end", "20:00")
    steps = stack.preview()
    assert names(steps, "update") <= {
        "schedule-start",
        "schedule-stop",
        "working-hours",
        "backup",
    } | {
        "pulumi-local",
        "ollamazure-local",
    }
    assert {step.op for step in steps} == {"update"}
    stack.up()
    assert recurrence(stack, "vm-stop")["schedule"]["hours"] == [20]
    stack.run("refresh", "--yes")
    assert stack.preview() == []


@pytest.mark.long
def test_a_schedule_that_was_changed_by_hand_is_found(stack: Stack) -> None:
    cloud = azure(stack)
    [found] = [it for it in cloud.list(WORKFLOW) if it["name"] == "vm-stop"]
    own: dict[str, Any] = {id_: {} for id_ in found["identity"]["userAssignedIdentities"]}
    identity = {"type": "UserAssigned", "userAssignedIdentities": own}
    properties = {"definition": found["properties"]["definition"], "state": "Disabled"}
    body = {"location": found["location"], "tags": found["tags"]}
    cloud.wait(cloud.put(found["id"], {**body, "identity": identity, "properties": properties}))
    printed = stack.run("refresh", "--preview-only", "--diff")
    assert "schedule-stop" in printed and "Disabled" in printed
    stack.run("up", "--yes", "--skip-preview", "--refresh")
    assert azure(stack).get(found["id"])["properties"]["state"] == "Enabled"


@pytest.mark.long
def test_a_new_machine_gets_the_schedules_right_again(stack: Stack) -> None:
    """Azure deletes what is assigned on a machine with the machine."""
    stack.set("imageVersion", "0.20260914.2601")
    stack.up()
    (role,), (machine,) = azure(stack).list(ROLE), azure(stack).list(VM)
    assert role["properties"]["scope"].lower() == machine["id"].lower()
    assert stack.preview() == []


@pytest.mark.long
def test_bad_hours_are_refused_at_preview(stack: Stack) -> None:
    stack.set("workingHours.timeZone", "Europe/Pariss")
    stack.set("backup.time", "02:30")
    printed = stack.run("preview", code=PROGRAM_FAILED)
    assert "no such time zone, did you mean Europe/Paris?" in printed
    assert "ollamazure:backup.time" in printed
    stack.set("workingHours.timeZone", "Europe/Paris")
    stack.run("config", "rm", "--path", "ollamazure:backup.time")


def test_up_on_a_machine_that_is_off_ends_at_once_with_the_command_that_starts_it(
    stack: Stack,
) -> None:
    cloud = azure(stack)
    (machine,) = cloud.list(VM)
    cloud.wait(cloud.action(machine["id"], "deallocate"))
    assert "bin/ollamazure start --stack local" in stack.run("preview")
    printed = stack.run("up", "--yes", "--skip-preview", code=PROGRAM_FAILED)
    assert "The VM is deallocated, so no user reaches the chat." in printed
    assert "bin/ollamazure start --stack local" in printed
    assert "Then run `pulumi up` again" in printed
    assert "Traceback" not in printed
    cloud.wait(cloud.action(machine["id"], "start"))
    stack.up()
    assert stack.preview() == []


@pytest.mark.long
def test_without_hours_the_schedule_goes_and_the_machine_stays(stack: Stack) -> None:
    stack.run("config", "rm", "ollamazure:workingHours")
    stack.up()
    for type_ in (WORKFLOW, ROLE):
        assert azure(stack).list(type_) == []
    assert len(azure(stack).list(VM)) == 1
    assert stack.preview() == []
