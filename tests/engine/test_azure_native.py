"""azure-native under the real engine, answered by the emulated Azure in plan mode."""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.faults import Fault
from emulator.azure.service import Azure
from emulator.host import teardown
from emulator.instance import Instance
from emulator.plugins.pending import resolve_pending
from tests.engine.pulumi_project import Project, Result, emulated_azure

pytestmark = pytest.mark.engine

PROGRAM = (Path(__file__).parent / "azure_program.py").read_text()
MACHINES = "Microsoft.Compute/virtualMachines"


class Stack:
    """A deployed stack and its Azure, both used by one test only."""

    def __init__(self, project: Project, instance: Instance) -> None:
        self.project = project
        self.instance = instance
        self.azure = Azure(instance, NullFabric())

    def run(self, *arguments: str, **edit: Any) -> str:
        """Run a command that must succeed."""
        return self._run(arguments, edit).ok().text

    def fail(self, *arguments: str, **edit: Any) -> str:
        """Run a command that must fail."""
        return self._run(arguments, edit).failed().text

    def _run(self, arguments: tuple[str, ...], edit: dict[str, Any]) -> Result:
        return self.project.run(*arguments, environment={"EDIT": json.dumps(edit)})

    def up(self, **edit: Any) -> str:
        return self.run("up", "--yes", "--skip-preview", **edit)

    def steps(self, **edit: Any) -> dict[str, str]:
        """The steps of a preview by name, without the resources that stay as they are."""
        shown = self.run("preview", "--json", **edit)
        steps = json.loads(shown[shown.index("{") :])["steps"]
        return {
            step["urn"].rsplit("::", 1)[-1]: step["op"] for step in steps if step["op"] != "same"
        }

    def only(self, type_: str) -> dict[str, Any]:
        """The only resource of its type in Azure."""
        (found,) = self.azure.list(type_)
        return found

    def change(self, type_: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a resource behind Pulumi's back."""
        id_ = self.only(type_)["id"]
        with self.azure.store.change() as state:
            change(state.resources[id_.lower()])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.project.command(*arguments),
            cwd=self.project.folder,
            env=self.project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The deployed program; tests copy it."""
    folder = tmp_path_factory.mktemp("deployed") / "project"
    folder.mkdir()
    with emulated_azure(folder / "emulator") as instance:
        project = Project(folder, instance, PROGRAM)
        project.environment["OLLAMAZURE_PLAN"] = "1"
        project.up().ok()
        yield project


@pytest.fixture
def stack(deployed: Project, tmp_path: Path) -> Iterator[Stack]:
    """The deployed program, in a copy of its own."""
    project = copy.copy(deployed)
    project.folder = tmp_path / "project"
    shutil.copytree(deployed.folder, project.folder, symlinks=True)
    instance = Instance.open(project.folder / "emulator")
    project.environment = deployed.environment | {
        "OLLAMAZURE_EMULATOR": str(instance.home),
        "PULUMI_BACKEND_URL": f"file://{project.folder / 'state'}",
        "PULUMI_STACK": "dev",  # Pulumi remembers a selection by folder
    }
    one = Stack(project, instance)
    yield one
    one.azure.faults.clear()
    until(lambda: not one.azure.store.read().pending())
    teardown.remove(instance)
    instance.release()


@pytest.fixture
def without_machine(stack: Stack) -> Stack:
    """The same without a machine, both in Azure and in the state."""
    stack.azure.wait(stack.azure.delete(stack.only(MACHINES)["id"]))
    stack.run("refresh", "--yes", "--skip-preview")
    return stack


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.long
def test_a_refresh_changes_nothing_and_neither_does_a_preview(stack: Stack) -> None:
    outputs = stack.project.outputs()
    assert outputs["identity"] == stack.only(MACHINES)["properties"]["vmId"]
    assert re.fullmatch(r"127\.20\.\d+\.4", outputs["address"])
    stack.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    stack.run("preview", "--expect-no-changes")


def test_custom_data_is_in_the_state_only_encrypted(stack: Stack) -> None:
    assert "dGhlIGhvc3Qga2V5" not in stack.project.stored()


def test_an_update_keeps_identity_and_name_and_subnets(stack: Stack) -> None:
    name = stack.only("Microsoft.Network/virtualNetworks")["name"]
    assert re.fullmatch(r"vnet[0-9a-f]{8}", name)  # named once, at its creation
    identity = stack.only(MACHINES)["properties"]["vmId"]
    steps = stack.steps(tags={"app": "new"})
    assert set(steps.values()) == {"update"}
    assert "direct" in steps  # uses an output of the machine, unknown in this preview
    assert "read" not in steps
    stack.up(tags={"app": "new"})
    assert stack.only("Microsoft.Network/virtualNetworks")["name"] == name
    assert stack.only("Microsoft.Network/virtualNetworks/subnets")
    assert stack.only(MACHINES)["properties"]["vmId"] == identity
    assert stack.only(MACHINES)["tags"] == {"app": "new"}


@pytest.mark.long
def test_a_resize_is_an_update(stack: Stack) -> None:
    assert stack.steps(size="Standard_B4ms") == {"machine": "update", "direct": "update"}


def test_a_replaced_machine_is_another_with_the_same_disk(stack: Stack) -> None:
    disks = "Microsoft.Compute/disks"
    before = stack.only(MACHINES)["properties"]["vmId"]
    kept = {each["name"]: each["properties"]["uniqueId"] for each in stack.azure.list(disks)}
    stack.up(computer="other")
    assert stack.project.outputs()["identity"] != before
    now = {each["name"]: each["properties"]["uniqueId"] for each in stack.azure.list(disks)}
    assert now["kept-data"] == kept["kept-data"]
    assert len(now) == len(kept) == 2  # the OS disk went with its machine


def test_what_only_azure_refuses_previews_as_an_update_and_fails(stack: Stack) -> None:
    assert stack.steps(customData="bmV3")["machine"] == "update"
    shown = stack.fail("up", "--yes", "--skip-preview", customData="bmV3")
    assert 'Status=409 Code="PropertyChangeNotAllowed"' in shown
    assert "Changing property 'customData' is not allowed." in shown
    assert "bmV3" not in shown


@pytest.mark.long
@pytest.mark.parametrize(
    ("edit", "replaced"),
    [
        ({"sku": "Basic"}, {"address"}),
        (
            {"location": "westeurope"},
            {"group", "rules", "vnet", "subnet", "address", "interface", "disk", "machine"},
        ),
    ],
    ids=["sku of an address", "location"],
)
def test_what_the_provider_itself_replaces(
    stack: Stack, edit: dict[str, str], replaced: set[str]
) -> None:
    steps = stack.steps(**edit)
    assert {name for name, op in steps.items() if "replace" in op or "delete" in op} >= replaced


@pytest.mark.long
def test_a_refresh_sees_what_was_done_behind_pulumis_back(stack: Stack) -> None:
    def open_ssh(body: dict[str, Any]) -> None:
        rules = body["properties"]["securityRules"]
        opened = copy.deepcopy(rules[0])
        opened["name"] = "ssh"
        opened["properties"] |= {"priority": 200, "destinationPortRange": "22"}
        rules.append(opened)

    stack.change("Microsoft.Network/networkSecurityGroups", open_ssh)
    stack.change("Microsoft.Network/publicIPAddresses", lambda body: body["tags"].clear())
    stack.azure.wait(stack.azure.delete(stack.only(MACHINES)["id"]))
    stack.run("refresh", "--yes", "--skip-preview")
    steps = stack.steps()
    assert steps == {
        "rules": "update",
        "address": "update",
        "machine": "create",
        "direct": "update",
        "read": "update",
    }
    stack.up()
    (rule,) = stack.only("Microsoft.Network/networkSecurityGroups")["properties"]["securityRules"]
    assert rule["name"] == "https"
    assert stack.only("Microsoft.Network/publicIPAddresses")["tags"] == {"app": "test"}
    assert stack.only(MACHINES)["properties"]["provisioningState"] == "Succeeded"


def test_destroy_leaves_nothing_and_meets_no_refusal(stack: Stack) -> None:
    stack.run("destroy", "--yes", "--skip-preview")
    assert stack.azure.store.read().resources == {}


@pytest.mark.long
def test_what_exists_can_be_imported_but_not_created(stack: Stack) -> None:
    urn = stack.project.resources()["disk"]["urn"]
    disk = stack.project.resources()["disk"]["id"]
    stack.azure.wait(stack.azure.delete(stack.only(MACHINES)["id"]))
    stack.run("state", "delete", urn, "--yes", "--target-dependents")
    shown = stack.fail("up", "--yes", "--skip-preview")
    assert f"cannot create already existing resource '{disk}'" in shown
    stack.up(**{"import": disk})
    stack.run("preview", "--expect-no-changes")


def test_a_property_that_the_emulator_does_not_know_is_an_error(stack: Stack) -> None:
    shown = stack.fail("preview", priority="Spot")
    assert "property 'priority' is unknown; known here: " in shown


@pytest.mark.long
def test_what_else_the_emulator_does_not_know_is_an_error(stack: Stack) -> None:
    shown = stack.fail("preview", balancer=True)
    assert "azure-native:network:LoadBalancer is not a resource type of the emulated Azure" in shown
    stack.run("config", "set", "azure-native:planet", "mars")
    assert "has no setting azure-native:planet" in stack.fail("preview")


def test_a_run_killed_while_azure_creates_is_completed_by_the_next(without_machine: Stack) -> None:
    stack = without_machine
    stack.azure.faults.add(Fault(MACHINES, slow=3600))
    killed = stack.start("up", "--yes", "--skip-preview")
    until(lambda: bool(stack.azure.list(MACHINES)))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    stack.azure.faults.clear()
    identity = stack.only(MACHINES)["properties"]["vmId"]

    stack.run("cancel", "--yes")
    exported = json.loads(stack.run("stack", "export"))
    assert [each["type"] for each in exported["deployment"]["pending_operations"]] == ["creating"]
    settled = stack.project.folder / "settled.json"
    settled.write_text(json.dumps(resolve_pending(exported, stack.instance)))
    stack.run("stack", "import", "--file", str(settled))

    stack.up()
    assert stack.project.outputs()["identity"] == identity
    assert "dGhlIGhvc3Qga2V5" not in stack.project.stored()


@pytest.mark.long
def test_an_interrupted_run_is_completed_by_the_next(without_machine: Stack) -> None:
    stack = without_machine
    stack.azure.faults.add(Fault(MACHINES, slow=3600))
    interrupted = stack.start("up", "--yes", "--skip-preview")
    until(lambda: bool(stack.azure.list(MACHINES)))
    interrupted.send_signal(signal.SIGINT)
    shown, _ = interrupted.communicate(timeout=60)
    assert "no longer waited for; Azure goes on with it" in shown
    stack.azure.faults.clear()
    identity = stack.only(MACHINES)["properties"]["vmId"]
    stack.up()
    assert stack.project.outputs()["identity"] == identity
