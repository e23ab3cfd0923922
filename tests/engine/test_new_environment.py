"""The commands of docs/how-to/new-environment.md, next to an existing environment."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.clone import clone, git
from tests.engine.stack import PROJECT, Stack

PAGE = (PROJECT / "docs/how-to/new-environment.md").read_text()
PROPOSED, DEPLOY, BY_HAND, _, REMOVE = (
    [line.strip() for line in section.splitlines() if line.startswith("    ")]
    for section in re.sub(r"```\w+\n.*?```\n", "", PAGE, flags=re.DOTALL).split("\n## ")[1:]
)
(FILE,) = re.findall("```yaml\n(.*?)```", PAGE, re.DOTALL)
# Every stack of this version has it: no digest of the image is known.
UNAVOIDABLE = "is pulled by its tag"
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

    follow(BY_HAND)
    file = yaml.safe_load((home / "project" / "Pulumi.staging.yaml").read_text())
    assert file.pop("encryptionsalt")
    assert file == yaml.safe_load(FILE)

    printed = follow(DEPLOY)
    both = [local.outputs(), staging.outputs()]
    assert printed.splitlines()[-1] == both[1]["url"]
    assert both[1]["models"] == ["llama3.2:3b"]
    for output in ("url", "certificateFingerprint", "hostKey"):
        assert both[0][output] != both[1][output], output
    ours = {"ollamazure-staging", "ollamazure-staging-data"}
    theirs = {"ollamazure-local", "ollamazure-local-data"}
    assert groups(home) == ours | theirs

    follow(REMOVE)
    assert groups(home) == theirs
    assert local.preview() == []
    assert "staging" not in local.run("stack", "ls")
    assert not (home / "project" / "Pulumi.staging.yaml").exists()


def test_a_proposed_file_previews_without_a_warning_that_could_be_avoided(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    clone(tree)
    home = {"OLLAMAZURE_EMULATOR": str(tmp_path / "emulator"), "OLLAMAZURE_PLAN": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=tree,
            env={**os.environ, **home},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("tools/make-venv.sh")
    (new,) = [line for line in PROPOSED if "--yes" in line]
    printed = run(*shlex.split(new), "--documents", "yes")
    assert git(tree, "status", "--porcelain") == "?? Pulumi.staging.yaml"
    config = yaml.safe_load((tree / "Pulumi.staging.yaml").read_text())["config"]
    assert f"{' + '.join(config['ollamazure:models'])} on {config['ollamazure:vmSize']}" in printed

    preview = ("bin/pulumi-local", "--non-interactive", "preview", "--stack", "staging")
    previewed = run(*preview, "--json")
    found = json.loads(previewed[previewed.index("{\n") :])
    messages = {(each["severity"], each["message"]) for each in found.get("diagnostics") or ()}
    assert not [text for severity, text in messages if severity == "error"]
    warnings = [text for severity, text in messages if severity == "warning"]
    assert not [text for text in warnings if UNAVOIDABLE not in text]
    (machine,) = [step for step in found["steps"] if ":VirtualMachine::" in step["urn"]]
    size = machine["newState"]["inputs"]["hardwareProfile"]["vmSize"]
    assert size == config["ollamazure:vmSize"]
    shown = run(*preview, "--diff")
    assert "modelLicences" in shown and "Community License. Meta's Acceptable Use" in shown
