"""The SSH connection to a stack's machine, with the keys that Pulumi has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from ollamazure.operate.pulumi import OperateError

TIMEOUT_SECONDS = 60
PART = 1 << 16  # bytes of a stream


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
            raise self.program_error(str(done.stderr).strip())
        return json.loads(str(done.stdout))

    async def stream(self, command: str, stdin: str) -> AsyncIterator[bytes]:
        """What a program of the machine prints, in parts.

        Args:
            command: for the login shell.
            stdin: the program's standard input.

        Raises:
            OperateError: the connection fails, the host key is another one, or the program fails.
        """
        try:
            async with self.open() as connection:
                process = await connection.create_process(command, encoding=None)
                process.stdin.write(stdin.encode())
                process.stdin.write_eof()
                errors = asyncio.create_task(process.stderr.read())
                while part := await process.stdout.read(PART):
                    yield part
                reason = (await errors).decode(errors="replace").strip()
                done = await process.wait()
        except (OSError, asyncssh.Error) as error:
            raise self.connection_error(error) from error
        if done.exit_status != 0:
            raise self.program_error(reason)

    def program_error(self, reason: str) -> OperateError:
        """The error to raise when a program of the machine fails."""
        return OperateError(
            f"a program on the machine at {self.address} failed: {reason}. "
            "`pulumi up` updates the machine's programs."
        )

    def connection_error(self, error: Exception) -> OperateError:
        """The error to raise when the connection fails."""
        return OperateError(
            f"SSH to the machine at {self.address} failed: {error}. Is the machine running, and is "
            "your address in ollamazure:sshClients? docs/how-to/ssh-is-lost.md has the fix for "
            "each cause."
        )
