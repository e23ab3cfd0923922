"""A stack of the real program in plan mode: real engine, Azure's rules, no machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Step:
    """One line of a preview: what happens to which resource."""

    op: str
    type: str
    name: str


@dataclass
class Stack:
    """A stack of an emulated Azure in the folder `home`; without `plan`, with real machines."""

    home: Path
    name: str = "local"
    plan: bool = True

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run bin/pulumi-local and return all that it prints.

        Raises:
            AssertionError: it ended with another exit code.
        """
        process = self.start(*arguments)
        printed, _ = process.communicate()
        assert process.returncode == code, printed
        return printed

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start bin/pulumi-local in a process group of its own."""
        return subprocess.Popen(
            [PROJECT / "bin" / "pulumi-local", "--non-interactive", *arguments],
            env={
                **os.environ,
                "OLLAMAZURE_EMULATOR": str(self.home),
                "OLLAMAZURE_PLAN": "1" if self.plan else "",
                "PULUMI_STACK": self.name,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def state(self) -> dict[str, Any]:
        """Pulumi's state of the stack, secrets encrypted."""
        state: dict[str, Any] = json.loads(self.run("stack", "export"))["deployment"]
        return state

    def up(self) -> str:
        """`pulumi up` without asking."""
        return self.run("up", "--yes", "--skip-preview")

    def set(self, key: str, value: str) -> None:
        """`pulumi config set` of one setting, a path into it allowed."""
        self.run("config", "set", "--path", f"ollamazure:{key}", value)

    def forget_settings(self) -> None:
        """Set back all settings of all stacks of this emulated Azure."""
        for file in (self.home / "settings").glob("*.yaml"):
            kept = file.read_text().splitlines()
            file.write_text("\n".join(line for line in kept if "encryptionsalt" in line))

    def preview(self, *arguments: str) -> list[Step]:
        """What `pulumi up` would do; without `--show-sames`, only what changes."""
        printed = self.run("preview", "--json", *self.with_documentation_address(), *arguments)
        steps = json.loads(printed[printed.index("{\n") :])["steps"]
        unchanged = () if "--show-sames" in arguments else ("same", "read")
        return [_step(step) for step in steps if step["op"] not in unchanged]

    def with_documentation_address(self) -> list[str]:
        """Options for a shipped stack, which opens SSH to no address until an operator sets one."""
        file = PROJECT / f"Pulumi.{self.name}.yaml"
        if not file.exists() or "ollamazure:sshClients:" in file.read_text():
            return []
        return ["--config-path", "--config", "ollamazure:sshClients[0]=192.0.2.1"]

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets hidden."""
        outputs: dict[str, Any] = json.loads(self.run("stack", "output", "--json"))
        return outputs


def _step(step: dict[str, Any]) -> Step:
    *_, type_chain, name = step["urn"].split("::")
    return Step(step["op"], type_chain.rpartition("$")[2], name)


def names(steps: list[Step], op: str) -> set[str]:
    """The resources that `op` happens to."""
    return {step.name for step in steps if step.op == op}


def counted(steps: list[Step]) -> Counter[str]:
    """How many steps of each kind there are."""
    return Counter(step.op for step in steps)
