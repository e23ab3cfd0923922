"""A workflow's runner: its steps, word for word, and the shell that runs them here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from tests.github import GitHub

PROJECT = Path(__file__).resolve().parents[2]
ADDRESS = "198.51.100.7"
"""The runner's address: an emulated machine sees a client at 127.0.0.7 like this."""


def steps(workflow: str, job: str) -> dict[str, str]:
    """The commands of a job by the names of their steps, in their order."""
    document = yaml.safe_load((PROJECT / ".github" / "workflows" / f"{workflow}.yml").read_text())
    return {step["name"]: step["run"] for step in document["jobs"][job]["steps"] if "run" in step}


class Runner:
    """Works in the tree; its `pulumi`, in `folder`, works on the emulated Azure in `home`."""

    def __init__(self, folder: Path, home: Path, stack: str, github: GitHub, *, plan: bool) -> None:
        folder.mkdir()
        pulumi = folder / "pulumi"
        pulumi.write_text(f'#!/bin/sh\nexec "{PROJECT}/bin/pulumi-local" "$@"\n')
        pulumi.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "OLLAMAZURE_EMULATOR": str(home),
            "OLLAMAZURE_PLAN": "1" if plan else "0",
            "STACK": stack,
            **github.environment,
        }

    def run(self, script: str, *, fails: bool = False, **environment: str) -> str:
        """Run a step as GitHub does; returns all that it prints.

        Raises:
            AssertionError: it failed, or did not although it should have.
        """
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

    def deploy(self, step: str, *, fails: bool = False) -> str:
        """Run a step of deploy-stack.yml."""
        return self.run(steps("deploy-stack", "up")[step], fails=fails)

    def open_ssh(self) -> str:
        """The step that opens SSH; the runner's address on the emulated Azure is given."""
        step = steps("deploy-stack", "up")["Open SSH for this runner, in this checkout only"]
        return self.run(f"{step} --address {ADDRESS}")

    def close_ssh(self) -> str:
        """The step that ends every deployment."""
        return self.deploy("Close SSH for all but the committed addresses")
