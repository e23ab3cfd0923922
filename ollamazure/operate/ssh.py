"""A session on a stack's machine, or one command there, with OpenSSH's own client.

Pulumi hands the private key to an SSH agent that ends with the session: the key is in no file and
on no command line. Only the stack's host key is trusted, and the user's own SSH configuration is
not read.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ollamazure.operate.connection import TIMEOUT_SECONDS, MachineConnection
from ollamazure.operate.pulumi import OperateError, read_outputs

# The key is needed to sign in only. The agent forgets it even if this process is killed.
KEY_SECONDS = 2 * TIMEOUT_SECONDS


def run(stack: str, pulumi: str, command: Sequence[str]) -> int:
    """Open a session, or run one command; returns the exit code of that.

    Args:
        stack: its name.
        pulumi: the command that has it.
        command: the words of the command on the machine; none for a session.

    Raises:
        OperateError: the session cannot be started.
    """
    machine = MachineConnection.from_outputs(read_outputs(stack, pulumi))
    try:
        with start_agent(machine.private_key) as socket:
            return subprocess.run(ssh_command(machine, socket, command), check=False).returncode
    except KeyboardInterrupt:
        return 130


@contextmanager
def start_agent(private_key: str) -> Iterator[str]:
    """Run an SSH agent that holds this key only; yields its socket.

    Raises:
        OperateError: OpenSSH's client is not installed, or refuses the key.
    """
    with tempfile.TemporaryDirectory(prefix="ollamazure-") as folder:
        socket = str(Path(folder) / "agent")
        try:
            agent = subprocess.Popen(
                ["ssh-agent", "-D", "-a", socket, "-t", str(KEY_SECONDS)],
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for what runs on the machine
            )
        except FileNotFoundError as error:
            raise OperateError(
                "ssh-agent is not installed. Install OpenSSH's client (Debian: openssh-client)."
            ) from error
        with agent:
            try:
                next(iter(agent.stdout or ()), b"")  # printed as soon as the agent listens
                _add_key(private_key, socket)
                yield socket
            finally:
                agent.terminate()


def _add_key(private_key: str, socket: str) -> None:
    added = subprocess.run(
        ["ssh-add", "-q", "-"],
        input=private_key.rstrip("\n") + "\n",
        env={**os.environ, "SSH_AUTH_SOCK": socket},
        capture_output=True,
        text=True,
        check=False,
    )
    if added.returncode:
        raise OperateError(f"ssh-add refuses the key: {added.stderr.strip()}")


def ssh_command(machine: MachineConnection, socket: str, command: Sequence[str]) -> list[str]:
    """The command line of `ssh`; it contains the machine's public host key and no secret."""
    options = {
        "BatchMode": "yes",
        "IdentityAgent": socket,
        "IdentityFile": "none",
        "PreferredAuthentications": "publickey",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": "none",
        "GlobalKnownHostsFile": "none",
        "KnownHostsCommand": shlex.join(["/bin/echo", machine.address, *machine.host_key.split()]),
        "UpdateHostKeys": "no",
        "ConnectTimeout": str(TIMEOUT_SECONDS),
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", *words, f"{machine.user}@{machine.address}", *command]
