"""The SSH connection to a stack's machine, with the keys that Pulumi has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from ollamazure.operate.pulumi import OperateError

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class MachineConnection:
    """Where the machine is, and the keys of both sides.

    Attributes:
        user: the account that signs in; it may become root with sudo.
        address: the machine's public address.
        private_key: the user's, in OpenSSH's format.
        host_key: the machine's public key, the only one that is trusted.
        port: of its SSH server.
    """

    user: str
    address: str
    private_key: str = field(repr=False)
    host_key: str
    port: int = 22

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> MachineConnection:
        """The connection that a stack's outputs describe."""
        user, _, address = str(outputs["sshCommand"]).split()[-1].partition("@")
        return cls(user, address, outputs["sshPrivateKey"], outputs["hostKey"])

    def open(self) -> Any:
        """An SSH connection, for `async with`; the user's own SSH configuration is not read."""
        return asyncssh.connect(
            self.address,
            self.port,
            username=self.user,
            client_keys=[asyncssh.import_private_key(self.private_key)],
            known_hosts=([asyncssh.import_public_key(self.host_key)], [], []),
            agent_path=None,
            config=None,
            connect_timeout=TIMEOUT_SECONDS,
        )

    async def query(self, command: str, stdin: str = "") -> Any:
        """What a program of the machine prints as JSON.

        Args:
            command: for the login shell.
            stdin: the program's standard input.

        Raises:
            OperateError: the connection fails, the host key is another one, or the program fails.
        """
        try:
            async with self.open() as connection:
                done = await connection.run(command, input=stdin)
        except (OSError, asyncssh.Error) as error:
            raise self.connection_error(error) from error
        if done.exit_status:
            raise OperateError(
                f"a program on the machine at {self.address} failed: {str(done.stderr).strip()}. "
                "`pulumi up` updates the machine's programs."
            )
        return json.loads(str(done.stdout))

    def connection_error(self, error: Exception) -> OperateError:
        """The error to raise when the connection fails."""
        return OperateError(
            f"SSH to the machine at {self.address} failed: {error}. Is the machine running, and is "
            "your address in ollamazure:sshClients? docs/how-to/ssh-is-lost.md has the fix for "
            "each cause."
        )
