"""A run that was killed at any resource is completed by the next one; two runs at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import recovery
from emulator.azure.fabric import NullFabric
from emulator.azure.names import MACHINE, SUBNET, ResourceId
from emulator.azure.providers import KINDS
from emulator.azure.service import Azure
from emulator.instance import Instance
from emulator.plugins.azure_types import TYPES
from tests.engine.stack import Stack, names

TOKENS = {native.arm: token for token, native in TYPES.items()}
UP = ("up", "--yes", "--skip-preview")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of every resource type, not deployed yet; each test leaves it complete or empty."""
    stack = Stack(tmp_path_factory.mktemp("killed") / "emulator")
    stack.set("backup.target", "azure")
    yield stack
    Instance.open(stack.home).release()


def planned(stack: Stack) -> dict[str, str]:
    """The types of the resources that `pulumi up` would create, by their names."""
    printed = stack.run("preview", "--json")
    steps = json.loads(printed[printed.index("{\n") :])["steps"]
    return resources(step["newState"] for step in steps if step["op"] == "create")


def resources(states: Any) -> dict[str, str]:
    """The types of the resources that a plugin makes, by their names."""
    return {
        state["urn"].rpartition("::")[2]: state["type"]
        for state in states
        if state.get("custom") and not state["type"].startswith("pulumi:")
    }


def in_state(stack: Stack) -> dict[str, str]:
    return resources(stack.state()["resources"])


def pending(stack: Stack) -> set[str]:
    """What the state notes as under way."""
    file = recovery.state_file(Instance.open(stack.home), stack.name)
    latest = (json.loads(file.read_text())["checkpoint"] if file else {}).get("latest") or {}
    noted = latest.get("pending_operations") or ()
    return {each["resource"]["urn"].rpartition("::")[2] for each in noted}


def held(stack: Stack) -> set[str]:
    """The resources whose answers the plugins keep back."""
    return {file.name for file in (stack.home / "held").glob("*")}


def start_and_hold(
    stack: Stack, names: set[str], *command: str
) -> tuple[subprocess.Popen[str], set[str]]:
    """Start a run; returns it when it has done one of the resources, or has ended."""
    for file in (stack.home / "held").glob("*"):
        file.unlink()
    process = stack.start(*command, OLLAMAZURE_HOLD=",".join(sorted(names)))
    while process.poll() is None and not held(stack):
        time.sleep(0.02)
    return process, held(stack)


def kill(process: subprocess.Popen[str]) -> str:
    """Kill pulumi-local, Pulumi, the program and the plugins; returns what they printed."""
    os.killpg(process.pid, signal.SIGKILL)
    printed, _ = process.communicate()
    return printed


def pulumi_of(process: subprocess.Popen[str]) -> str:
    """The process of Pulumi itself below pulumi-local."""
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]


def locks(stack: Stack) -> list[Path]:
    return list((stack.home / "backend").glob(".pulumi/locks/**/*.json"))


def kill_at_each(stack: Stack, names: set[str], *command: str) -> set[str]:
    """Run a command until it ends, and kill it at each of the resources once.

    Returns the resources at which it was never killed: the command does nothing with them, or an
    official plugin makes them, which cannot be stopped at a certain one.
    """
    left = set(names)
    while True:
        process, reached = start_and_hold(stack, left, *command)
        printed = kill(process) if reached else process.communicate()[0]
        if not reached:
            assert process.returncode == 0, printed
            return left
        left -= reached | pending(stack)


def assert_complete(stack: Stack, names: set[str]) -> None:
    """Everything exists once, and Azure has what the state has."""
    assert stack.preview() == []
    state = stack.state()
    assert not state.get("pending_operations")
    assert set(resources(state["resources"])) == names
    urns = [each["urn"] for each in state["resources"]]
    assert len(urns) == len(set(urns))
    assert not [each["urn"] for each in state["resources"] if each.get("initErrors")]
    assert in_azure(stack) == {
        each["id"].lower()
        for each in state["resources"]
        if each["type"].startswith("azure-native:")
    }


def in_azure(stack: Stack) -> set[str]:
    """The ids of all resources in Azure, without the parts of others: subnet and system disk."""
    azure = Azure(Instance.open(stack.home), NullFabric())
    found = {each["id"].lower() for type_ in set(KINDS) - {SUBNET} for each in azure.list(type_)}
    for machine in azure.list(MACHINE):
        system_disk: str = machine["properties"]["storageProfile"]["osDisk"]["managedDisk"]["id"]
        found.remove(system_disk.lower())
    return found


def only(names: set[str], types: dict[str, str], *packages: str) -> set[str]:
    """Those of the resources that these packages make."""
    return {name for name in names if types[name].partition(":")[0] in packages}


def test_a_run_is_refused_while_another_works_and_the_next_completes_what_was_killed(
    stack: Stack,
) -> None:
    first, reached = start_and_hold(stack, {"vm"}, *UP)
    try:
        assert reached == {"vm"}
        (lock,) = locks(stack)
        refused = stack.run(*UP, code=1)
        assert "the stack is currently locked by 1 lock(s). Either wait for the other" in refused
        assert f"(pid {pulumi_of(first)})" in refused
        assert "interrupted" not in refused
        assert locks(stack) == [lock]
        assert "vm" in pending(stack), "the state was settled under the run that works on it"
    finally:
        kill(first)
    assert "a former run was interrupted" in stack.up()
    assert_complete(stack, set(in_state(stack)))


@pytest.mark.long
def test_a_deployment_killed_at_every_resource_in_turn(stack: Stack) -> None:
    stack.run("destroy", "--yes", "--skip-preview")
    types = planned(stack)
    left = kill_at_each(stack, set(types), *UP)
    assert not only(left, types, "azure-native", "command")
    assert_complete(stack, set(types))


@pytest.mark.long
def test_an_update_killed_at_every_resource_in_turn(stack: Stack) -> None:
    stack.up()
    types = in_state(stack)
    stack.set("tags.team", "research")
    updated = {step.name for step in stack.preview() if step.op == "update"} & set(types)
    assert updated
    assert not kill_at_each(stack, updated, *UP)
    assert_complete(stack, set(types))


@pytest.mark.long
def test_a_refresh_killed_at_every_resource_in_turn(stack: Stack) -> None:
    stack.up()
    types = in_state(stack)
    left = kill_at_each(stack, set(types), "refresh", "--yes", "--skip-preview")
    assert not only(left, types, "azure-native")
    assert_complete(stack, set(types))


@pytest.mark.long
def test_a_destruction_killed_at_every_resource_in_turn(stack: Stack) -> None:
    stack.up()
    types = in_state(stack)
    left = kill_at_each(stack, set(types), "destroy", "--yes", "--skip-preview")
    assert not only(left, types, "azure-native")
    assert in_azure(stack) == set()
    assert not stack.state().get("resources")


@pytest.mark.long
def test_a_state_that_is_one_run_old_takes_over_what_that_run_created(
    stack: Stack, tmp_path: Path
) -> None:
    """As docs/how-to/troubleshoot.md describes it: nothing is deleted."""
    stack.set("backup.target", "dataDisk")
    stack.up()
    former = export(stack, tmp_path)
    stack.set("backup.target", "azure")
    stack.up()
    types, (machine,) = in_state(stack), machines(stack)

    stack.run("stack", "import", "--file", str(former))
    stack.run("refresh", "--yes", "--skip-preview")
    taken_over: set[str] = set()
    while existing := those_that_exist(stack.start(*UP)):
        assert not existing & taken_over
        taken_over |= existing
        take_over(stack, existing, tmp_path / "import.json")
    assert {id_.rpartition("/")[2] for id_ in taken_over} > {"machine", "backups"}
    assert_complete(stack, set(types))
    assert [each["properties"]["vmId"] for each in machines(stack)] == [
        machine["properties"]["vmId"]
    ]


@pytest.mark.long
def test_a_state_that_is_one_run_old_repeats_what_that_run_changed(
    stack: Stack, tmp_path: Path
) -> None:
    stack.up()
    former, types = export(stack, tmp_path), in_state(stack)
    stack.set("tags.team", "finance")
    stack.set("nginxVersion", "1.28.0")
    stack.set("backup.target", "dataDisk")  # deletes the storage account
    stack.up()

    stack.run("stack", "import", "--file", str(former))
    stack.run("refresh", "--yes", "--skip-preview")
    assert "nginx" in names(stack.preview(), "update")
    stack.up()
    kept = set(in_state(stack))
    assert kept < set(types)
    assert_complete(stack, kept)


def export(stack: Stack, folder: Path) -> Path:
    file = folder / "former.json"
    stack.run("stack", "export", "--file", str(file))
    return file


def machines(stack: Stack) -> list[dict[str, Any]]:
    return Azure(Instance.open(stack.home), NullFabric()).list(MACHINE)


def those_that_exist(process: subprocess.Popen[str]) -> set[str]:
    """The ids of the resources that a run could not create, because Azure has them."""
    printed, _ = process.communicate()
    found = set(re.findall(r"cannot create already existing resource '(.+)'", printed))
    assert bool(found) == bool(process.returncode), printed
    return found


def take_over(stack: Stack, ids: set[str], file: Path) -> None:
    """Import these resources of Azure, as the file for `pulumi import` lists them."""
    stack.run("preview", "--import-file", str(file))
    wanted = json.loads(file.read_text())
    resources = []
    for id_ in ids:
        token = TOKENS[ResourceId.parse(id_).type]
        (one,) = [each for each in wanted["resources"] if each["type"] == token]
        resources.append({**one, "id": id_})
    file.write_text(json.dumps({**wanted, "resources": resources}))
    stack.run(
        "import",
        "--file",
        str(file),
        "--yes",
        "--skip-preview",
        "--protect=false",
        "--generate-code=false",
    )
