"""What the workflows run, word for word, on the emulated Azure without a machine.

A `pulumi` on PATH leads to the emulated Azure, as the real one would lead to the real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import PROJECT, Stack, names

RUNNER = "198.51.100.7"
COMMITTED = ["198.51.100.1/32"]


def steps(workflow: str, job: str) -> dict[str, str]:
    """The commands of a job by the names of their steps, in their order."""
    document = yaml.safe_load((PROJECT / ".github" / "workflows" / f"{workflow}.yml").read_text())
    return {step["name"]: step["run"] for step in document["jobs"][job]["steps"] if "run" in step}


class Shell:
    """A runner's shell: it works in the tree, its `pulumi` works on an emulated Azure."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        folder.mkdir()
        pulumi = folder / "pulumi"
        pulumi.write_text(f'#!/bin/sh\nexec "{PROJECT}/bin/pulumi-local" "$@"\n')
        pulumi.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "OLLAMAZURE_EMULATOR": str(stack.home),
            "OLLAMAZURE_PLAN": "1",
            "STACK": stack.name,
        }

    def run(self, script: str, *, fails: bool = False, **environment: str) -> str:
        """Run a step as GitHub does; returns all that it prints."""
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=PROJECT,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert bool(done.returncode) == fails, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The stack `local`, deployed once."""
    stack = Stack(tmp_path_factory.mktemp("deploy") / "emulator")
    stack.up()
    return stack


@pytest.fixture
def shell(stack: Stack, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "bin", stack)
    yield shell
    for file in (stack.home / "settings").glob("*.yaml"):
        kept = file.read_text()
        file.write_text("\n".join(line for line in kept.splitlines() if "encryptionsalt" in line))


def deploy(step: str) -> str:
    """A step of deploy-stack.yml."""
    return steps("deploy-stack", "up")[step]


def open_ssh(shell: Shell) -> str:
    """The step that lets the runner in; its public address no emulated Azure can tell."""
    return shell.run(f"{deploy('SSH for this runner, in this checkout only')} --address {RUNNER}")


def close_ssh(shell: Shell) -> str:
    return shell.run(deploy("SSH for the committed addresses only"))


def azure_of(stack: Stack) -> Azure:
    return Azure(Instance.open(stack.home), NullFabric())


def admitted(stack: Stack) -> list[str]:
    """Who may reach port 22, as Azure has it, whatever Pulumi believes."""
    (group,) = azure_of(stack).list("Microsoft.Network/networkSecurityGroups")
    rules = {rule["name"]: rule["properties"] for rule in group["properties"]["securityRules"]}
    prefixes: list[str] = rules["ssh"]["sourceAddressPrefixes"]
    return prefixes


def test_the_runner_is_let_in_for_the_deployment_only(shell: Shell, stack: Stack) -> None:
    tree = shell.run("git status --porcelain")
    shell.run(deploy("Refresh"))
    open_ssh(shell)
    assert admitted(stack) == COMMITTED
    shell.run(deploy("Up"))
    assert admitted(stack) == [*COMMITTED, f"{RUNNER}/32"]
    close_ssh(shell)
    assert admitted(stack) == COMMITTED
    assert stack.preview() == []
    assert shell.run("git status --porcelain") == tree


@pytest.fixture
def no_machine_to_be_had(shell: Shell) -> Iterator[None]:
    """Azure refuses to make or change a machine."""
    faults = [sys.executable, "-m", "emulator.azure.faults"]
    fault = ["--type", "Microsoft.Compute/virtualMachines", "--code", "AllocationFailed"]
    subprocess.run([*faults, "add", *fault], cwd=PROJECT, env=shell.environment, check=True)
    yield
    subprocess.run([*faults, "clear"], cwd=PROJECT, env=shell.environment, check=True)


@pytest.mark.usefixtures("no_machine_to_be_had")
def test_a_deployment_that_fails_half_way_leaves_nothing_open(shell: Shell, stack: Stack) -> None:
    stack.set("vmSize", "Standard_B4ms")
    open_ssh(shell)
    assert "AllocationFailed" in shell.run(deploy("Up"), fails=True)
    assert admitted(stack) == [*COMMITTED, f"{RUNNER}/32"]

    close_ssh(shell)
    assert admitted(stack) == COMMITTED
    assert "vm" in names(stack.preview(), "update"), "only SSH was closed"


def test_settings_that_stop_the_deployment_open_nothing(shell: Shell) -> None:
    open_ssh(shell)
    shell.run("pulumi config set ollamazure:vmSize Standard_None --stack local")
    shell.run(deploy("Up"), fails=True)
    assert "was not opened" in close_ssh(shell)


def test_who_is_admitted_already_is_not_added(shell: Shell, stack: Stack) -> None:
    stack.set("sshClients[0]", "198.51.100.0/24")
    assert "already" in open_ssh(shell)


def test_what_an_update_that_was_cut_off_opened_is_closed(shell: Shell, stack: Stack) -> None:
    """Pulumi died between Azure's answer and its own note of it."""
    (file,) = Instance.open(stack.home).backend.glob(".pulumi/stacks/*/local.json")
    state = json.loads(file.read_text())
    latest = state["checkpoint"]["latest"]
    (group,) = (one for one in latest["resources"] if one["type"].endswith(":NetworkSecurityGroup"))
    latest["pending_operations"] = [{"resource": group, "type": "updating"}]
    open_ssh(shell)
    shell.run(deploy("Up"))
    file.write_text(json.dumps(state))
    assert admitted(stack) == [*COMMITTED, f"{RUNNER}/32"]

    close_ssh(shell)
    assert admitted(stack) == COMMITTED


def test_a_preview_on_azure_becomes_a_comment(shell: Shell, stack: Stack, tmp_path: Path) -> None:
    stack.set("models[1]", "smollm2:360m")
    preview = steps("preview-azure", "preview")["Preview"]
    written = tmp_path / "comment" / "local.md"
    shell.run(preview.replace('"comment/$STACK.md"', str(written)))

    comment = written.read_text()
    assert comment.startswith("<!-- ollamazure preview: local -->\n")
    assert "smollm2:360m" in comment


def drift_report(shell: Shell, file: Path) -> str:
    """The step of the nightly look; there is no machine here, so that half of it is not known."""
    look = steps("drift", "look")["Look at the cloud and at the machine"]
    shell.run(look.replace('"report/$STACK.md"', str(file)))
    return file.read_text()


def test_drift_in_the_cloud_is_found(shell: Shell, stack: Stack, tmp_path: Path) -> None:
    before = drift_report(shell, tmp_path / "local.md")
    assert before.startswith("<!-- drift: unknown -->\n## local\n")
    assert "**The cloud**: none" in before

    azure = azure_of(stack)
    group = next(
        one
        for one in azure.list("Microsoft.Resources/resourceGroups")
        if one["name"] == "ollamazure-local"
    )
    azure.put(group["id"], {"location": group["location"], "tags": {"changed": "by-hand"}})
    after = drift_report(shell, tmp_path / "local.md")
    assert after.startswith("<!-- drift: found -->\n")
    assert "by-hand" in after


def test_the_previews_of_everybody_run_without_azure(shell: Shell, tmp_path: Path) -> None:
    """A pull request of a stranger: compared with its base on an emulated Azure of its own."""
    compare = steps("preview", "emulator")[
        "The base deployed, then this pull request previewed on it"
    ]
    place = tmp_path / "comment"
    script = compare.replace("mkdir comment", f"mkdir {place}").replace(
        "comment/$STACK", f"{place}/$STACK"
    )
    shell.run(script, STACK="dev", BASE="HEAD")

    assert (place / "dev.md").read_text().startswith("<!-- ollamazure preview: dev -->\n")
