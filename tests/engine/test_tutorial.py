"""docs/tutorial/first-deployment-on-azure.md, as far as it goes without Azure and a machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.engine.clone import clone
from tests.engine.stack import PROJECT
from tests.tutorial import matches, read_steps, run_on_terminal

PAGE = PROJECT / "docs/tutorial/first-deployment-on-azure.md"
# These need Azure, or what only a real deployment has: a machine.
WITH_AZURE = (
    "az login",
    "pulumi login",
    "pulumi install",
    "bin/ollamazure preflight",
    "bin/ollamazure people",
)
ADDRESS = ("<your public address>", "203.0.113.7")
# Only the operator's yes to a question is not on the page.
PULUMI = """\
#!/bin/sh
case "$*" in up*|destroy*) set -- "$@" --yes ;; esac
exec bin/pulumi-local --non-interactive "$@"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone of the project: the page writes a stack file."""
    tree = tmp_path / "tree"
    clone(tree)
    subprocess.run(["make", "--silent", ".venv"], cwd=tree, check=True)
    pulumi = tmp_path / "bin" / "pulumi"
    pulumi.parent.mkdir()
    pulumi.write_text(PULUMI)
    pulumi.chmod(0o755)
    return tree


@pytest.mark.long
def test_the_page_up_to_the_deployment_and_back(tree: Path, tmp_path: Path) -> None:
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "OLLAMAZURE_EMULATOR": str(tmp_path / "emulator"),
        "OLLAMAZURE_PLAN": "1",
    }
    steps = read_steps(PAGE)
    printed_by = {}
    for step in steps:
        if step.command.startswith(WITH_AZURE):
            continue
        code, printed = run_on_terminal(step.command.replace(*ADDRESS), tree, environment)
        assert code == 0, f"{step.command}\n{printed}"
        if step.output is not None:
            assert matches(step.output, printed), f"{step.command}\n{printed}"
        printed_by[step.command] = printed
    left_out = [step.command for step in steps if step.command.startswith(WITH_AZURE)]
    assert all(any(one.startswith(start) for one in left_out) for start in WITH_AZURE)

    written = yaml.safe_load((tree / "Pulumi.chat.yaml").read_text())["config"]
    assert written["ollamazure:sshClients"] == ["203.0.113.7/32"]
    [up] = [text for command, text in printed_by.items() if command.startswith("pulumi up")]
    for email in ("alice@example.com", "bob@example.com"):
        assert f"user-{email}" in up
