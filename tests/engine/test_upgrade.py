"""A stack that the program deployed before this issue, upgraded by the program as it is now.

deployed/README.md describes the stack and how it is recorded again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ollamazure.review import from_files
from tests.engine.record_deployed import STACK, restore
from tests.engine.stack import Stack, names

COMMAND = "command:remote:Command"
STACK_TYPE = "pulumi:pulumi:Stack"
"""Its outputs may change: the page for the operator is one of them."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The recorded stack; the last test upgrades it."""
    home = tmp_path_factory.mktemp("upgrade") / "emulator"
    restore(home)
    return Stack(home, STACK)


@pytest.fixture(scope="module")
def before(stack: Stack) -> list[dict[str, Any]]:
    """The resources that the stack has, but for components."""
    return resources(stack)


def test_the_preview_updates_commands_and_touches_nothing_else(
    stack: Stack, before: list[dict[str, Any]]
) -> None:
    steps = stack.preview("--show-sames")
    assert {step.op for step in steps} <= {"same", "read", "update"}
    assert {step.type for step in steps if step.op == "update"} <= {COMMAND, STACK_TYPE}
    assert names(steps, "same") | names(steps, "update") >= {name(one) for one in before}


@pytest.mark.long
def test_the_comment_explains_every_update(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"preview": ("--json", "--show-sames"), "diff": ("--diff",)}
    options = ["--stack", STACK]
    for file, kind in files.items():
        (tmp_path / file).write_text(stack.run("preview", *kind))
        options += [f"--{file}", str(tmp_path / file)]
    assert from_files.main(options) == 0
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("|")]
    assert bool(rows) == any(step.type == COMMAND for step in stack.preview())
    assert not any("not known" in row for row in rows)


@pytest.mark.long
def test_the_upgrade_keeps_every_id_key_and_password(
    stack: Stack, before: list[dict[str, Any]]
) -> None:
    secrets = stack.run("stack", "output", "--json", "--show-secrets")
    assert json.loads(secrets)["initialPasswords"].keys() >= {"alice@example.com"}
    stack.up()
    assert stack.preview() == []
    stack.set("rotation.sshKey", "2027-01")
    assert "ssh-key" in names(stack.preview(), "replace")
    after = {name(one): one for one in resources(stack)}
    for one in before:
        assert after[name(one)]["id"] == one["id"]
    now = json.loads(stack.run("stack", "output", "--json", "--show-secrets"))
    changed = {key for key, value in json.loads(secrets).items() if now[key] != value}
    assert changed <= {"readme", "monthlyCostEstimate"}


def resources(stack: Stack) -> list[dict[str, Any]]:
    """What the state has of Azure, keys, passwords and commands; components may be renamed."""
    exported = json.loads(stack.run("stack", "export"))
    return [
        one
        for one in exported["deployment"]["resources"]
        if one["custom"] and not one["type"].startswith("pulumi:")
    ]


def name(resource: dict[str, Any]) -> str:
    """The last part of its URN."""
    return str(resource["urn"].rpartition("::")[2])
