"""A machine of another size under the real engine: what happens, and what a preview shows."""

from __future__ import annotations

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.faults import Fault, Faults
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import Stack, names
from tests.engine.test_program import COMMANDS
from tests.engine.test_settings import PROGRAM_FAILED

pytestmark = pytest.mark.long  # test_recorded_changes.py has a change in place

VM = "Microsoft.Compute/virtualMachines"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Deployed once. Each test sets a size of its own, and only the last changes the machine."""
    stack = Stack(tmp_path_factory.mktemp("plan") / "emulator")
    stack.set("vmSize", "Standard_B2s_v2")
    stack.up()
    return stack


def test_within_a_class_the_machine_changes_in_place_and_nothing_else(stack: Stack) -> None:
    """From Intel to AMD: it changes nothing for Ollama or Open WebUI."""
    stack.set("vmSize", "Standard_B2as_v2")
    steps = [step for step in stack.preview() if step.type != "pulumi:pulumi:Stack"]
    assert [(step.op, step.name) for step in steps] == [("update", "vm")]


def test_the_preview_explains_the_change_and_its_cost(stack: Stack) -> None:
    stack.set("vmSize", "Standard_B2as_v2")
    printed = stack.run("preview")
    assert (
        "The machine changes from Standard_B2s_v2 to Standard_B2as_v2. It restarts, and the chat "
        "is unavailable for about a minute. All chats and models are kept."
    ) in printed
    (cost,) = [line for line in printed.splitlines() if "~ monthlyCostEstimate" in line]
    before, after = cost.split(" => ")
    assert "USD a month" in before and "USD a month" in after and before != after


def test_a_size_that_auto_chose_is_named_with_the_command_to_keep_the_old(
    stack: Stack,
) -> None:
    stack.set("vmSize", "auto")
    assert (
        "vmSize = auto chose the new size. To keep the former size: "
        "pulumi config set ollamazure:vmSize Standard_B2s_v2"
    ) in stack.run("preview")


def test_across_classes_the_machine_is_replaced_and_its_disk_is_kept(stack: Stack) -> None:
    stack.set("vmSize", "Standard_B2ms")
    steps = stack.preview()
    assert names(steps, "replace") == {"vm"}
    assert names(steps, "update") >= COMMANDS
    assert not {"data-disk", "data-group", "public-ip", "nic"} & {step.name for step in steps}


def test_the_preview_explains_a_replaced_machine(stack: Stack) -> None:
    stack.set("vmSize", "Standard_B2ms")
    assert (
        "The machine changes from Standard_B2s_v2 to Standard_B2ms. Azure cannot resize an "
        "existing machine between these sizes: it is deleted and created again, and the chat is "
        "unavailable for about ten minutes. The address and the data disk with all chats and "
        "models are kept."
    ) in stack.run("preview")


def test_the_data_disk_grows_in_place(stack: Stack) -> None:
    stack.set("vmSize", "Standard_B2s_v2")
    stack.set("dataDiskGiB", "32")
    assert names(stack.preview(), "update") == {"data-disk", "machine-ready"}
    stack.set("dataDiskGiB", "20")


def test_a_smaller_data_disk_is_refused_at_preview(stack: Stack) -> None:
    stack.set("dataDiskGiB", "19")
    printed = stack.run("preview", code=PROGRAM_FAILED)
    assert "the data disk has 20 GiB, and Azure never shrinks a disk" in printed
    assert "pulumi config set ollamazure:dataDiskGiB 20" in printed
    stack.set("dataDiskGiB", "20")


def test_a_preview_after_a_refused_resize_warns_again(stack: Stack) -> None:
    """The outputs still describe the machine that exists."""
    stack.set("vmSize", "Standard_B4as_v2")
    Faults(stack.home / "azure").add(Fault(VM, code="AllocationFailed", times=1))
    stack.run("up", "--yes", "--skip-preview", code=1)
    assert stack.outputs()["vmSize"] == "Standard_B2s_v2"
    assert "from Standard_B2s_v2 to Standard_B4as_v2. It restarts" in stack.run("preview")


def test_a_resize_that_needs_a_stopped_machine_says_what_to_run(stack: Stack) -> None:
    azure = Azure(Instance.open(stack.home), NullFabric())
    azure.faults.add(Fault(VM, operation="resize", code="OperationNotAllowed"))
    stack.set("vmSize", "Standard_B2as_v2")
    printed = stack.run("up", "--yes", "--skip-preview", code=1)
    assert "not available in the current hardware cluster" in printed
    assert "Traceback" not in printed
    machine = "--resource-group ollamazure-local --name vm"
    assert f"az vm deallocate {machine} && pulumi up; az vm start {machine} && pulumi up" in printed

    (vm,) = azure.list(VM)
    azure.wait(azure.action(vm["id"], "deallocate"))
    stack.up()
    azure.wait(azure.action(vm["id"], "start"))
    azure.faults.clear()
    assert stack.outputs()["vmSize"] == "Standard_B2as_v2"
    assert stack.preview() == []


@pytest.mark.parametrize(
    ("action", "state"), [("powerOff", "stopped"), ("deallocate", "deallocated"), ("start", None)]
)
def test_a_stopped_machine_is_reported_with_the_command_that_starts_it(
    stack: Stack, action: str, state: str | None
) -> None:
    azure = Azure(Instance.open(stack.home), NullFabric())
    (vm,) = azure.list(VM)
    azure.wait(azure.action(vm["id"], action))
    printed = stack.run("preview", "--expect-no-changes")
    assert ("az vm start --resource-group ollamazure-local --name vm" in printed) == bool(state)
    if state:
        assert f"The VM is {state}, so no user reaches the chat. Nothing is lost" in printed


def test_a_machine_of_another_class_gets_the_old_machines_disk(stack: Stack) -> None:
    azure = Azure(Instance.open(stack.home), NullFabric())
    (before,) = azure.list(VM)
    stack.set("vmSize", "Standard_B2ms")
    stack.up()
    (after,) = azure.list(VM)
    assert after["properties"]["vmId"] != before["properties"]["vmId"]
    disks = [machine["properties"]["storageProfile"]["dataDisks"] for machine in (before, after)]
    assert disks[0][0]["managedDisk"]["id"] == disks[1][0]["managedDisk"]["id"]
    assert stack.outputs()["vmSize"] == "Standard_B2ms"
    assert "The machine changes" not in stack.run("preview", "--expect-no-changes")
