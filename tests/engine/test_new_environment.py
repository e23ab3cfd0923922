"""The commands of docs/how-to/new-environment.md, next to an existing environment."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import PROJECT, Stack

PAGE = (PROJECT / "docs/how-to/new-environment.md").read_text()
BEFORE, FILE, AFTER = re.split("```(?:yaml)?\n", PAGE)
COMMANDS = [line.strip() for line in (BEFORE + AFTER).splitlines() if line.startswith("    ")]
LOOK_AND_MAKE, REMOVE = COMMANDS.index("pulumi preview --stack staging"), -2
# Only the operator's yes to a question is not on the page.
PULUMI = f"""\
#!/bin/sh
case "$*" in up*|destroy*|"stack rm"*) set -- "$@" --yes ;; esac
exec {PROJECT}/bin/pulumi-local --non-interactive "$@"
"""


@pytest.fixture
def follow(tmp_path: Path) -> Any:
    """Runs commands of the page in a shell whose `pulumi` is that of an emulated Azure."""
    pulumi = tmp_path / "bin" / "pulumi"
    pulumi.parent.mkdir()
    pulumi.write_text(PULUMI)
    pulumi.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{pulumi.parent}:{os.environ['PATH']}",
        "OLLAMAZURE_EMULATOR": str(tmp_path / "emulator"),
        "OLLAMAZURE_PLAN": "1",
    }

    def run(commands: list[str]) -> str:
        script = "\n".join(["set -e", *commands])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def groups(home: Path) -> set[str]:
    azure = Azure(Instance.open(home), NullFabric())
    return {group["name"] for group in azure.list("Microsoft.Resources/resourceGroups")}


@pytest.mark.long
def test_the_page_creates_and_removes_an_environment_next_to_another(
    follow: Any, tmp_path: Path
) -> None:
    home = tmp_path / "emulator"
    local, staging = Stack(home), Stack(home, "staging")
    local.up()

    follow(COMMANDS[:LOOK_AND_MAKE])
    file = yaml.safe_load((home / "project" / "Pulumi.staging.yaml").read_text())
    assert file.pop("encryptionsalt")
    assert file == yaml.safe_load(FILE)

    printed = follow(COMMANDS[LOOK_AND_MAKE:REMOVE])
    both = [local.outputs(), staging.outputs()]
    assert printed.splitlines()[-1] == both[1]["url"]
    assert both[1]["models"] == ["llama3.2:3b"]
    for output in ("url", "certificateFingerprint", "hostKey"):
        assert both[0][output] != both[1][output], output
    ours = {"ollamazure-staging", "ollamazure-staging-data"}
    theirs = {"ollamazure-local", "ollamazure-local-data"}
    assert groups(home) == ours | theirs

    follow(COMMANDS[REMOVE:])
    assert groups(home) == theirs
    assert local.preview() == []
    assert "staging" not in local.run("stack", "ls")
    assert not (home / "project" / "Pulumi.staging.yaml").exists()
