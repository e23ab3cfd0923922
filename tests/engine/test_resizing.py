"""A machine of another size under the real engine: what happens, and what a preview says of it."""

from __future__ import annotations

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.faults import Fault, Faults
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import Stack, names
from tests.engine.test_program import COMMANDS

VM = "Microsoft.Compute/virtualMachines"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Deployed once; each test sets a size of its own, and only the last changes the machine."""
    stack = Stack(tmp_path_factory.mktemp("plan") / "emulator")
    stack.set("vmSize", "Standard_B2s_v2")
    stack.up()
    return stack


def test_within_a_class_the_machine_changes_in_place_and_nothing_else(stack: Stack) -> None:
    """From Intel to AMD: nothing follows from it for Ollama or Open WebUI."""
    stack.set("vmSize", "Standard_B2as_v2")
    steps = [step for step in stack.preview() if step.type != "pulumi:pulumi:Stack"]
    assert [(step.op, step.name) for step in steps] == [("update", "vm")]


def test_the_preview_says_what_it_means_and_what_it_costs(stack: Stack) -> None:
    stack.set("vmSize", "Standard_B2as_v2")
    said = stack.run("preview")
    assert (
        "The machine changes from Standard_B2s_v2 to Standard_B2as_v2: it restarts, and the chat "
        "is away for about a minute. Every chat and model stays."
    ) in said
    (cost,) = [line for line in said.splitlines() if "~ monthlyCostEstimate" in line]
    before, after = cost.split(" => ")
    assert "USD a month" in before and "USD a month" in after and before != after


def test_a_size_that_auto_chooses_anew_is_said_with_the_way_back(stack: Stack) -> None:
    stack.set("vmSize", "auto")
    assert (
        "vmSize = auto chose it. To keep the former: "
        "pulumi config set ollamazure:vmSize Standard_B2s_v2"
    ) in stack.run("preview")


def test_across_classes_the_machine_is_made_anew_and_keeps_its_disk(stack: Stack) -> None:
    stack.set("vmSize", "Standard_B2ms")
    steps = stack.preview()
    assert names(steps, "replace") == {"vm"}
    assert names(steps, "update") >= COMMANDS
    assert not {"data-disk", "data-group", "public-ip", "nic"} & {step.name for step in steps}
    assert (
        "The machine changes from Standard_B2s_v2 to Standard_B2ms, which Azure does not do with a "
        "machine that exists: it is deleted and made anew, and the chat is away for about ten "
        "minutes. Every chat and model stays, on the data disk, and so does the address."
    ) in stack.run("preview")


def test_a_resize_that_azure_refused_is_said_again(stack: Stack) -> None:
    """The outputs still tell of the machine as it is."""
    stack.set("vmSize", "Standard_B4as_v2")
    Faults(stack.home / "azure").add(Fault(VM, code="AllocationFailed", times=1))
    stack.run("up", "--yes", "--skip-preview", code=1)
    assert stack.outputs()["vmSize"] == "Standard_B2s_v2"
    assert "from Standard_B2s_v2 to Standard_B4as_v2: it restarts" in stack.run("preview")


def test_a_machine_of_another_class_has_the_disk_of_the_former(stack: Stack) -> None:
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
