"""The commands of the workflows, word for word, on the emulated Azure without a machine.

The `pulumi` on PATH is that of the emulated Azure.
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.runner import ADDRESS, PROJECT, Runner, steps
from tests.engine.stack import Stack, names
from tests.github import GitHub

COMMITTED = ["198.51.100.1/32"]
CLOSE = "Close SSH for all but the committed addresses"


@pytest.fixture
def stack(planned: Stack) -> Stack:
    """The stack `local`, deployed."""
    return planned


@pytest.fixture
def runner(stack: Stack, tmp_path: Path) -> Iterator[Runner]:
    with GitHub() as github:
        yield Runner(tmp_path / "bin", stack.home, stack.name, github, plan=True)


def azure_of(stack: Stack) -> Azure:
    return Azure(Instance.open(stack.home), NullFabric())


def admitted(stack: Stack) -> list[str]:
    """The addresses that may reach port 22, as Azure has them, whatever Pulumi's state says."""
    (group,) = azure_of(stack).list("Microsoft.Network/networkSecurityGroups")
    rules = {rule["name"]: rule["properties"] for rule in group["properties"]["securityRules"]}
    prefixes: list[str] = rules["ssh"]["sourceAddressPrefixes"]
    return prefixes


def test_ssh_is_open_to_the_runner_for_the_deployment_only(runner: Runner, stack: Stack) -> None:
    tree = runner.run("git status --porcelain")
    runner.open_ssh()
    assert admitted(stack) == COMMITTED
    runner.deploy("Up")
    assert admitted(stack) == [*COMMITTED, f"{ADDRESS}/32"]
    runner.close_ssh()
    assert admitted(stack) == COMMITTED
    assert stack.preview() == []
    assert runner.run("git status --porcelain") == tree


@pytest.fixture
def no_machine_available(runner: Runner) -> Iterator[None]:
    """Azure refuses to create or change a machine."""
    faults = [sys.executable, "-m", "emulator.azure.faults"]
    fault = ["--type", "Microsoft.Compute/virtualMachines", "--code", "AllocationFailed"]
    subprocess.run([*faults, "add", *fault], cwd=PROJECT, env=runner.environment, check=True)
    yield
    subprocess.run([*faults, "clear"], cwd=PROJECT, env=runner.environment, check=True)


@pytest.mark.usefixtures("no_machine_available")
@pytest.mark.long
def test_a_failed_deployment_leaves_nothing_open(runner: Runner, stack: Stack) -> None:
    stack.set("vmSize", "Standard_B4ms")
    runner.open_ssh()
    assert "AllocationFailed" in runner.deploy("Up", fails=True)
    assert admitted(stack) == [*COMMITTED, f"{ADDRESS}/32"]

    runner.close_ssh()
    assert admitted(stack) == COMMITTED
    assert "vm" in names(stack.preview(), "update"), "only SSH was closed"


@pytest.mark.long
def test_invalid_settings_open_nothing(runner: Runner) -> None:
    runner.open_ssh()
    runner.run("pulumi config set ollamazure:vmSize Standard_None --stack local")
    runner.deploy("Up", fails=True)
    assert "was not opened" in runner.close_ssh()


@pytest.mark.long
def test_an_admitted_address_is_not_added(runner: Runner, stack: Stack) -> None:
    stack.set("sshClients[0]", "198.51.100.0/24")
    assert "already" in runner.open_ssh()


@pytest.mark.long
def test_what_an_interrupted_update_opened_is_closed(runner: Runner, stack: Stack) -> None:
    """Pulumi was killed between Azure's answer and writing its state."""
    (file,) = Instance.open(stack.home).backend.glob(".pulumi/stacks/*/local.json")
    state = json.loads(file.read_text())
    latest = state["checkpoint"]["latest"]
    (group,) = (one for one in latest["resources"] if one["type"].endswith(":NetworkSecurityGroup"))
    latest["pending_operations"] = [{"resource": group, "type": "updating"}]
    runner.open_ssh()
    runner.deploy("Up")
    file.write_text(json.dumps(state))
    assert admitted(stack) == [*COMMITTED, f"{ADDRESS}/32"]

    runner.close_ssh()
    assert admitted(stack) == COMMITTED


@pytest.mark.long
def test_a_killed_deployment_is_recovered(runner: Runner, stack: Stack) -> None:
    """Its runner is lost: it left its lock, and SSH open."""
    runner.open_ssh()
    runner.deploy("Up")
    locks = Instance.open(stack.home).backend / ".pulumi/locks/organization/ollamazure/local"
    locks.mkdir(parents=True, exist_ok=True)
    lock = locks / "lost.json"
    lost = {"pid": 7, "hostname": "lost-runner", "timestamp": "2026-01-02T03:04:05Z"}
    lock.write_text(json.dumps({"username": getpass.getuser(), **lost}))
    assert "created by" in runner.deploy("Refresh", fails=True)
    assert "Recover a stack" in runner.deploy(CLOSE, fails=True)
    assert admitted(stack) == [*COMMITTED, f"{ADDRESS}/32"]

    (recover,) = steps("recover", "recover").values()
    assert f"{getpass.getuser()}@lost-runner (process 7)" in runner.run(recover)
    assert not lock.exists()
    assert admitted(stack) == COMMITTED
    assert stack.preview() == []


@pytest.mark.long
def test_a_preview_on_azure_becomes_a_comment(runner: Runner, stack: Stack, tmp_path: Path) -> None:
    stack.set("models[1]", "smollm2:360m")
    preview = steps("preview-azure", "preview")["Preview"]
    written = tmp_path / "comment" / "local.md"
    runner.run(preview.replace('"comment/$STACK.md"', str(written)))

    comment = written.read_text()
    assert comment.startswith("<!-- ollamazure preview: local -->\n")
    assert "smollm2:360m" in comment


def drift_report(runner: Runner, file: Path) -> str:
    """The report of the nightly step; without a machine, that half of it is unknown."""
    look = steps("drift", "compare")["Compare the cloud and the machine"]
    summary = file.with_name("summary.md")
    runner.run(look.replace('"report/$STACK.md"', str(file)), GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text().endswith(file.read_text())
    return file.read_text()


@pytest.mark.long
def test_drift_in_the_cloud_is_found(runner: Runner, stack: Stack, tmp_path: Path) -> None:
    before = drift_report(runner, tmp_path / "local.md")
    assert before.startswith("<!-- drift: unknown -->\n## local\n")
    assert "**The cloud**: none" in before

    azure = azure_of(stack)
    group = next(
        one
        for one in azure.list("Microsoft.Resources/resourceGroups")
        if one["name"] == "ollamazure-local"
    )
    azure.put(group["id"], {"location": group["location"], "tags": {"changed": "by-hand"}})
    after = drift_report(runner, tmp_path / "local.md")
    assert after.startswith("<!-- drift: found -->\n")
    assert '\nresource-group\n  tags.changed is "by-hand" and not declared\n' in after
    assert "**The machine**: unknown" in after


@pytest.mark.long
def test_the_preview_of_a_fork_runs_without_azure(runner: Runner, tmp_path: Path) -> None:
    """A pull request is compared with its base on a temporary emulated Azure."""
    compare = steps("preview", "emulator")["Deploy the base, then preview this pull request on it"]
    place = tmp_path / "comment"
    script = compare.replace("mkdir comment", f"mkdir {place}").replace(
        "comment/$STACK", f"{place}/$STACK"
    )
    runner.run(script, STACK="dev", BASE="HEAD")

    assert (place / "dev.md").read_text().startswith("<!-- ollamazure preview: dev -->\n")
