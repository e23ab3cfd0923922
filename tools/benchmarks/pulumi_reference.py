"""Runs a reference program with the CLI, plugins and state that pulumi-local uses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from emulator import cli
from emulator.artifacts import paths
from emulator.instance import Instance

REFERENCES = Path(__file__).parent / "references"
STACK = "reference"


class PulumiFailedError(Exception):
    """The CLI ended with an error; the message is all that it printed."""


def environment_of(instance: Instance, *, plan: bool) -> dict[str, str]:
    """The environment that pulumi-local gives the CLI."""
    return cli.pulumi_environment(instance) | {"OLLAMAZURE_PLAN": "1" if plan else ""}


def run_pulumi(folder: Path, environment: Mapping[str, str], arguments: Sequence[str]) -> str:
    """What the CLI itself prints, run in a project's folder. Raises PulumiFailedError."""
    done = subprocess.run(
        [paths.pulumi(), "--non-interactive", "--color=never", *arguments],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PulumiFailedError(f"`pulumi {' '.join(arguments)}` failed:\n{done.stdout}")
    return done.stdout


class ReferenceProgram:
    """A program of references/, on an instance in which pulumi-local has installed the plugins."""

    def __init__(self, name: str, instance: Instance, *, plan: bool, **environment: str) -> None:
        self._folder = instance.home.parent / f"reference-{name}"
        self._environment = environment_of(instance, plan=plan) | environment
        shutil.copytree(REFERENCES / name, self._folder)
        project = yaml.safe_load((self._folder / "Pulumi.yaml").read_text("utf-8"))
        project["runtime"]["options"] = {"virtualenv": sys.prefix}
        (self._folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
        self.run("stack", "init", STACK, "--no-select")

    def run(self, *arguments: str, **environment: str) -> str:
        """Run a command of Pulumi on the stack. Raises PulumiFailedError."""
        stack = [] if arguments[0] == "stack" and arguments[1] == "init" else ["--stack", STACK]
        return run_pulumi(self._folder, {**self._environment, **environment}, [*arguments, *stack])

    def up(self) -> str:
        return self.run("up", "--yes", "--skip-preview")

    def remove(self) -> None:
        """Remove the program's folder, for another run; its state is the instance's."""
        shutil.rmtree(self._folder)
