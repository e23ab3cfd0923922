"""A session on the machine of a stack, or one command there, by OpenSSH's own client.

The private key goes from Pulumi into an agent that lives as long as the session: it is in no file
and on no command line. Only the host key of the stack is believed, and nothing of the user's own
SSH takes part. Exit code: that of the command; 2 when it cannot be begun.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ollamazure.operate.connection import (
    PATIENCE_SECONDS,
    Machine,
    TroubleError,
    outputs_of,
    parser,
)

# The key is needed to sign in only. Should this process be killed, the agent still forgets it.
KEY_SECONDS = 2 * PATIENCE_SECONDS


@contextmanager
def agent_with(private_key: str) -> Iterator[str]:
    """An SSH agent that holds the key and nothing else; yields its socket.

    Raises:
        TroubleError: OpenSSH's client is missing, or does not take the key.
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
            raise TroubleError(
                "there is no ssh-agent here: install OpenSSH's client (Debian: openssh-client)."
            ) from error
        with agent:
            try:
                next(iter(agent.stdout or ()), b"")  # where it listens, once it does
                added = subprocess.run(
                    ["ssh-add", "-q", "-"],
                    input=private_key.rstrip("\n") + "\n",
                    env={**os.environ, "SSH_AUTH_SOCK": socket},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if added.returncode:
                    raise TroubleError(f"ssh-add does not take the key: {added.stderr.strip()}")
                yield socket
            finally:
                agent.terminate()


def client(machine: Machine, socket: str, command: Sequence[str]) -> list[str]:
    """The command line of `ssh`; holds the machine's public host key and no secret."""
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
        "ConnectTimeout": str(PATIENCE_SECONDS),
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", *words, f"{machine.user}@{machine.address}", *command]


def main(arguments: Sequence[str] | None = None) -> int:
    options_of = parser("A session on the machine of a stack.")
    options_of.add_argument("command", nargs="?", help="to run there instead of a session")
    options = options_of.parse_args(arguments)
    command = [options.command] if options.command else []
    try:
        machine = Machine.of(outputs_of(options.stack, options.pulumi))
        with agent_with(machine.private_key) as socket:
            return subprocess.run(client(machine, socket, command), check=False).returncode
    except TroubleError as trouble:
        print(f"ssh: {trouble}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
