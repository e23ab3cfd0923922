"""The policy pack under the real engine, started with `--policy-pack policy`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.pulumi_project import Project, emulated_azure, processes_in
from tests.engine.stack import PROJECT, Stack

PACK = PROJECT / "policy"


def words(text: str) -> str:
    """The text without line breaks."""
    return " ".join(text.split())


def passed(printed: str) -> bool:
    """Whether the policies ran and reported no error."""
    return "ollamazure@v1" in printed and "[mandatory]" not in printed


@pytest.mark.long
def test_a_new_stack_passes_although_a_preview_knows_little(planned: Stack) -> None:
    """tests/engine/test_program.py has the other stacks."""
    stack = Stack(planned.home, "dev")
    stack.set("sshClients[0]", "0.0.0.0/0")
    printed = stack.run("preview", "--policy-pack", "policy")
    assert passed(printed)
    assert "[advisory] ssh-for-known-addresses-outside-production" in words(printed)
    assert "can't be known during preview" not in printed


def test_a_deployed_stack_passes_with_every_value_known(checked_up: tuple[Stack, str]) -> None:
    assert passed(checked_up[1])


def test_ssh_from_everywhere_ends_a_preview_of_production(planned: Stack) -> None:
    stack = Stack(planned.home, "prod")
    stack.set("sshClients[0]", "0.0.0.0/0")
    printed = stack.run("preview", "--policy-pack", "policy", code=1)
    assert "[mandatory] ssh-for-known-addresses" in words(printed)
    assert "nsg: the rule ssh opens SSH (port 22) to everyone." in printed
    assert "Fix: list the addresses of the operators" in words(printed)


PROGRAM = """
import pulumi
from pulumi_azure_native import network, resources

TAGS = {"project": "test", "stack": "dev"}
group = resources.ResourceGroup("group", location="francecentral", tags=TAGS)
network.NetworkSecurityGroup(
    "doors",
    resource_group_name=group.name,
    location="francecentral",
    security_rules=[
        network.SecurityRuleArgs(
            name="ollama", priority=100, direction="Inbound", access="Allow", protocol="Tcp",
            source_address_prefix="*", source_port_range="*", destination_address_prefix="*",
            destination_port_range="11434",
        )
    ],
)
"""
SHOWN = """
import pulumi
import pulumi_random as random
from pulumi_command import local

password = random.RandomPassword("admin", length=20, special=False)
local.Command("shown", create=pulumi.Output.concat("true ", password.result))
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path / "project"
    folder.mkdir()
    with emulated_azure(tmp_path / "emulator", plan=True) as instance:
        project = Project(folder, instance, PROGRAM)
        project.environment["OLLAMAZURE_PLAN"] = "1"
        yield project


def test_a_resource_that_breaks_a_policy_is_not_created(project: Project) -> None:
    printed = project.run("up", "--yes", "--skip-preview", "--policy-pack", str(PACK)).failed().text
    for policy in ("only-web-ports-for-the-world", "tagged"):
        assert f"[mandatory] {policy}" in words(printed)
    assert "doors: the rule ollama opens port 11434 to everyone." in printed
    assert "group" in project.resources()
    assert "doors" not in project.resources()
    assert not [
        command for command in processes_in(project.folder).values() if str(PACK) in command
    ]


def test_a_stack_as_a_whole_is_checked(project: Project) -> None:
    """A generated password is known only after the deployment."""
    project.write(SHOWN)
    previewed = project.run("preview", "--policy-pack", str(PACK)).ok().text
    assert "generated-secrets-not-shown" not in previewed
    printed = project.run("up", "--yes", "--skip-preview", "--policy-pack", str(PACK)).failed().text
    assert "shown: the secret of admin is in `create`." in printed
