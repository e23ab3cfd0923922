"""The journal of the services on a stack's machine, and the audit log of the chat.

The services log no secret; the stack's own secrets are masked all the same.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import asyncssh

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import read_outputs

MASK = "[secret]"


class Unit(StrEnum):
    """The services on the machine, by their systemd units."""

    OLLAMA = "ollama"
    OPEN_WEBUI = "open-webui"
    NGINX = "nginx"


def run(stack: str, pulumi: str, command: str) -> int:
    """Print what one of the commands below prints; returns its exit code.

    Args:
        stack: its name.
        pulumi: the command that has it.
        command: for the machine.

    Raises:
        OperateError: the machine cannot be queried.
    """
    outputs = read_outputs(stack, pulumi)
    machine = MachineConnection.from_outputs(outputs)
    try:
        return asyncio.run(print_output(machine, command, secrets_of(outputs)))
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


def journal_command(units: Sequence[Unit], since: str, *, follow: bool) -> str:
    """The command line that reads the journal.

    Args:
        units: whose journal.
        since: what `journalctl` takes, or a span such as `1h`, which ends now.
        follow: also print what is logged from now on, until Ctrl-C.
    """
    return shlex.join(
        [
            *("sudo", "journalctl", "--no-pager", "--quiet", "--output=short-iso"),
            f"--since={_start(since)}",
            *(f"--unit={unit}" for unit in units),
            *(["--follow", "--no-tail"] if follow else []),
        ]
    )


def audit_command(since: str) -> str:
    """The command line that reads the audit log; `since` as for the journal."""
    return shlex.join(["sudo", "/usr/local/lib/ollamazure/audit_log.py", _start(since)])


def _start(since: str) -> str:
    return f"-{since}" if re.fullmatch(r"\d+ ?[a-zA-Z]+", since) else since


def secrets_of(outputs: Mapping[str, Any]) -> list[str]:
    """Each secret of the outputs that fits on one line, the longest first."""
    key_lines = str(outputs["sshPrivateKey"]).splitlines()
    return sorted({*key_lines[1:-1], *_passwords(outputs)}, key=len, reverse=True)


def _passwords(outputs: Mapping[str, Any]) -> Iterator[str]:
    yield from filter(None, [outputs.get("adminPassword"), outputs.get("backupKey")])
    yield from outputs.get("initialPasswords", {}).values()


def mask(line: str, secrets: Sequence[str]) -> str:
    """The line with each secret replaced."""
    for secret in secrets:
        line = line.replace(secret, MASK)
    return line


async def print_output(
    machine: MachineConnection, command: str, secrets: Sequence[str], text: str | None = None
) -> int:
    """Print what a command on the machine prints, line by line; returns its exit code.

    `text` is its standard input.

    Raises:
        OperateError: the connection fails.
    """
    try:
        async with machine.open() as connection:
            process = await connection.create_process(
                command,
                stdin=asyncssh.DEVNULL if text is None else asyncssh.PIPE,
                stderr=asyncssh.STDOUT,
                errors="replace",
            )
            if text is not None:
                process.stdin.write(text)
                process.stdin.write_eof()
            async for line in process.stdout:
                print(mask(line, secrets), end="", flush=True)
            return int((await process.wait()).exit_status or 0)
    except (OSError, asyncssh.Error) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise machine.connection_error(error) from error
