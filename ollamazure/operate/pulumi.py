"""The Pulumi CLI that knows a stack: the real one, or the one of the emulated Azure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
LOCAL = "local"
"""The stack that exists on the emulated Azure only."""
REAL, EMULATED = "pulumi", "bin/pulumi-local"
TO_THE_MACHINE = ("sshCommand", "sshPrivateKey", "hostKey")


class OperateError(Exception):
    """An operator's command cannot do its work; the message gives the reason and the fix."""


def choose_pulumi(stack: str, *, emulated: bool) -> str:
    """The command that has the stack: `bin/pulumi-local` where only the emulated Azure has it.

    Args:
        stack: its name.
        emulated: whether the operator wants the emulated Azure in any case.
    """
    if emulated or stack == LOCAL:
        return EMULATED
    return EMULATED if _emulator_has(stack) and not _pulumi_has(stack) else REAL


def _emulator_folder() -> Path:
    return Path(os.environ.get("OLLAMAZURE_EMULATOR") or PROJECT / ".emulator")


def emulator_belongs_to_another() -> bool:
    """Whether the emulated Azure of this folder exists and this user cannot change it."""
    return _emulator_folder().exists() and not os.access(_emulator_folder(), os.W_OK)


def _emulator_has(stack: str) -> bool:
    """Whether the emulated Azure of this folder has the stack, as far as this user may read it."""
    try:
        return any(_emulator_folder().glob(f"backend/.pulumi/stacks/*/{stack}.json"))
    except PermissionError:
        return False


def _pulumi_has(stack: str) -> bool:
    command = [REAL, "stack", "--show-name", "--non-interactive", "--stack", stack]
    try:
        return not subprocess.run(command, cwd=PROJECT, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def become_root() -> None:
    """Start this command again through sudo, unless root runs it.

    Raises:
        OperateError: sudo is not installed.
    """
    if os.geteuid() == 0 or os.environ.get("OLLAMAZURE_PLAN") == "1":
        return
    print("The emulated Azure belongs to root: sudo asks for your password.", file=sys.stderr)
    again = [sys.executable, "-m", "ollamazure.cli", *sys.argv[1:]]
    try:
        os.execvp("sudo", ["sudo", "--preserve-env", *again])  # noqa: S606 -- a fixed command, no shell
    except FileNotFoundError as error:
        raise OperateError("sudo is not installed: run this command as root.") from error


def read_outputs(stack: str, pulumi: str, *others: str) -> Mapping[str, Any]:
    """The stack's outputs, secrets in plain text.

    Args:
        stack: its name.
        pulumi: the command that has it.
        others: outputs that the caller needs in addition to those that lead to the machine.

    Raises:
        OperateError: the outputs cannot be read, or one of them is missing.
    """
    done = run_pulumi([pulumi, "stack", "output", "--json", "--show-secrets", "--stack", stack])
    if done.returncode:
        hint = "" if pulumi == EMULATED else " If it is on the emulated Azure, add --emulated."
        raise OperateError(
            f"the outputs of the stack {stack} cannot be read; Pulumi's own message is above.{hint}"
        )
    outputs: Mapping[str, Any] = json.loads(done.stdout)
    missing = [name for name in (*TO_THE_MACHINE, *others) if name not in outputs]
    if missing:
        raise OperateError(
            f"the stack {stack} has no output {', '.join(missing)}. "
            f"`{pulumi} up --stack {stack}` creates it."
        )
    return outputs


def run_pulumi(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the Pulumi CLI in the project and keep its standard output.

    Raises:
        OperateError: it is not installed.
    """
    try:
        return subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError as error:
        raise OperateError(f"{command[0]} is not installed.") from error
