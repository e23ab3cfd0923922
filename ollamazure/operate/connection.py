"""The way to the machine of a stack: its outputs, straight from Pulumi into memory, lead there."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncssh

OUTPUTS = ("sshCommand", "sshPrivateKey", "hostKey")
PATIENCE_SECONDS = 60


class TroubleError(Exception):
    """What was asked cannot be told; the message says why and what to do."""


@dataclass(frozen=True)
class Machine:
    """Where the machine is, and the keys of both sides.

    Attributes:
        user: who signs in; may become root by sudo.
        address: public.
        private_key: of the user (OpenSSH).
        host_key: the machine's public one, the only one that is believed.
    """

    user: str
    address: str
    private_key: str = field(repr=False)
    host_key: str

    @classmethod
    def of(cls, outputs: Mapping[str, Any]) -> Machine:
        """The machine that a stack's outputs lead to."""
        user, _, address = str(outputs["sshCommand"]).split()[-1].partition("@")
        return cls(user, address, outputs["sshPrivateKey"], outputs["hostKey"])

    def connect(self) -> Any:
        """An SSH connection, for `async with`; nothing of the user's own SSH takes part."""
        return asyncssh.connect(
            self.address,
            username=self.user,
            client_keys=[asyncssh.import_private_key(self.private_key)],
            known_hosts=([asyncssh.import_public_key(self.host_key)], [], []),
            agent_path=None,
            config=None,
            connect_timeout=PATIENCE_SECONDS,
        )

    async def ask(self, command: str, given: str = "") -> Any:
        """What a tool of the machine prints as JSON.

        Args:
            command: for the login shell.
            given: on its standard input.

        Raises:
            TroubleError: the machine is not reached, is another one, or does not answer.
        """
        try:
            async with self.connect() as connection:
                done = await connection.run(command, input=given)
        except (OSError, asyncssh.Error) as error:
            raise self.not_reached(error) from error
        if done.exit_status:
            raise TroubleError(
                f"the machine at {self.address} does not answer: {str(done.stderr).strip()}. "
                "`pulumi up` brings its tools up to date."
            )
        return json.loads(str(done.stdout))

    def not_reached(self, error: Exception) -> TroubleError:
        """The error for whoever wanted to reach it."""
        return TroubleError(
            f"the machine at {self.address} is not reached by SSH: {error}. Is it running, and is "
            "your address one of ollamazure:sshClients?"
        )


def outputs_of(stack: str, pulumi: str, *others: str) -> Mapping[str, Any]:
    """The stack's outputs, secrets in plain.

    Args:
        stack: its name.
        pulumi: the command that works on it.
        others: which must be there besides those that lead to the machine.

    Raises:
        TroubleError: Pulumi has none, or not those.
    """
    command = [pulumi, "stack", "output", "--json", "--show-secrets", "--stack", stack]
    done = run_pulumi(command)
    if done.returncode:
        raise TroubleError(f"the outputs of the stack {stack} cannot be read; Pulumi has said why.")
    outputs: Mapping[str, Any] = json.loads(done.stdout)
    missing = [name for name in (*OUTPUTS, *others) if name not in outputs]
    if missing:
        raise TroubleError(
            f"the stack {stack} has no output {', '.join(missing)}. "
            f"`{pulumi} up --stack {stack}` makes it, with everything else."
        )
    return outputs


def run_pulumi(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the Pulumi CLI and keep its standard output.

    Raises:
        TroubleError: there is none.
    """
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError as error:
        raise TroubleError(f"{command[0]} is not installed.") from error


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that all who go to a machine have."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--stack", required=True, help="for example dev")
    arguments.add_argument("--pulumi", default="pulumi", help="or bin/pulumi-local")
    return arguments
