"""Runs commands over SSH as pulumi-command does, with its `connection` properties.

The error messages follow golang.org/x/crypto/ssh, which the official plugin uses.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.plugins.provider import FailedError, PluginRequest

if TYPE_CHECKING:
    import asyncssh

# The official plugin's pauses between dials: 0.1 s, each 1.5 times the last, 5 s at most.
_FIRST_PAUSE, _FACTOR, _LONGEST_PAUSE = 0.1, 1.5, 5.0
# A machine that does not answer for a minute is lost.
_KEEPALIVE, _MISSED = 15, 4

TakeOutput = Callable[[str, bytes], Awaitable[None]]
"""Receives each piece of output: "stdout" or "stderr", and the bytes."""


@dataclass(frozen=True)
class RemoteTask:
    """A command and its input. The machine may refuse a variable of `optional`."""

    command: str
    environment: Mapping[str, str]
    optional: Mapping[str, str]
    stdin: str


@dataclass
class CommandOutput:
    """A command's output: each stream, and both in the order of arrival."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    both: bytearray = field(default_factory=bytearray)

    def take(self, stream: str, piece: bytes) -> None:
        getattr(self, stream).extend(piece)
        self.both.extend(piece)


async def run(
    request: PluginRequest, connection: Mapping[str, Any], task: RemoteTask, take: TakeOutput
) -> str:
    """Run a command on the machine; returns how it failed, or "".

    Raises FailedError if it could not be run: no connection, or the machine's sshd does not accept
    a variable of its environment.
    """
    import asyncssh  # noqa: PLC0415 -- a quarter of a second

    async with _connect(request, connection) as client:
        await _require_accepted(request, client, task)
        try:
            process = await client.create_process(
                task.command, env={**task.optional, **task.environment}, encoding=None
            )
            await asyncio.gather(
                _feed(process, task.stdin),
                _read(process, "stdout", take),
                _read(process, "stderr", take),
            )
            await process.wait_closed()
        except (asyncssh.Error, OSError) as error:
            return _connection_lost(connection, str(error))
        if process.exit_signal:
            return f"Process exited with status 128 from signal {process.exit_signal[0]}"
        if process.exit_status is None:
            return _connection_lost(connection, "it ended without an exit status")
        return f"Process exited with status {process.exit_status}" if process.exit_status else ""


def _connection_lost(connection: Mapping[str, Any], reason: str) -> str:
    return (
        f"the connection to {connection['host']} was lost ({reason}) while the command ran; it may "
        "still be running there. Run the update again once the machine answers"
    )


async def _feed(process: asyncssh.SSHClientProcess[bytes], stdin: str) -> None:
    try:
        process.stdin.write(stdin.encode())
        await process.stdin.drain()
        process.stdin.write_eof()
    except OSError:
        # A command need not read its input; its end shows whether it failed.
        return


async def _read(process: asyncssh.SSHClientProcess[bytes], stream: str, take: TakeOutput) -> None:
    reader = getattr(process, stream)
    while piece := await reader.read(65536):
        await take(stream, piece)


async def _require_accepted(
    request: PluginRequest, client: asyncssh.SSHClientConnection, task: RemoteTask
) -> None:
    """Check which variables reach the machine: an SSH server drops others silently."""
    variables = {**task.optional, **task.environment}
    if not variables:
        return
    for name in variables:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise FailedError(f"could not set environment variable {name!r}: not a name")
    probe = (
        f'for name in {" ".join(variables)}; do printenv "$name" >/dev/null || echo "$name"; done'
    )
    answer = await client.run(probe, env=variables)
    for name in str(answer.stdout).split():
        message = (
            f"Unable to set '{name}'. This only works if your SSH server is configured to accept "
            "these variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command "
            "on the remote host, you could prefix the command itself with the variables in the "
            "form 'VAR=value command'"
        )
        if name in task.environment:
            await request.log("error", message)
            raise FailedError(f'could not set environment variable "{name}": ssh: setenv failed')
        await request.log("warning", message)


@asynccontextmanager
async def _connect(
    request: PluginRequest, connection: Mapping[str, Any]
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with AsyncExitStack() as stack:
        tunnel = None
        if proxy := connection.get("proxy"):
            tunnel = await stack.enter_async_context(await _dial(request, proxy, "Dial proxy"))
        yield await stack.enter_async_context(
            await _dial(request, connection, "Dial", tunnel=tunnel)
        )


async def _dial(
    request: PluginRequest,
    connection: Mapping[str, Any],
    label: str,
    tunnel: asyncssh.SSHClientConnection | None = None,
) -> asyncssh.SSHClientConnection:
    """Connect; after any error try again, as often as `dialErrorLimit` allows."""
    import asyncssh  # noqa: PLC0415

    options = _options(connection)
    limit, pause, tries = int(connection["dialErrorLimit"]), _FIRST_PAUSE, 0
    while True:
        try:
            return await asyncssh.connect(tunnel=tunnel, **options)
        except (asyncssh.Error, OSError) as error:
            problem = _dial_error(connection, error)
        if -1 < limit <= tries:
            raise FailedError(f"after {tries} failed attempts: {problem}")
        tries += 1
        shown = "inf" if limit < 0 else str(limit)
        await request.log("info", f"{label} {tries}/{shown} failed: retrying", passing=True)
        await asyncio.sleep(pause)
        pause = min(pause * _FACTOR, _LONGEST_PAUSE)


def _options(connection: Mapping[str, Any]) -> dict[str, Any]:
    """asyncssh's options for a connection. Raises FailedError if a key cannot be read."""
    import asyncssh  # noqa: PLC0415

    options: dict[str, Any] = {
        "host": connection["host"],
        "port": int(connection["port"]),
        "username": connection["user"],
        "password": connection.get("password"),
        "client_keys": None,
        "agent_path": _agent_socket(connection),
        "known_hosts": None,
        "config": None,
        "gss_host": None,
        "connect_timeout": int(connection["perDialTimeout"]) or None,
        "login_timeout": int(connection["perDialTimeout"]) or 0,
        "keepalive_interval": _KEEPALIVE,
        "keepalive_count_max": _MISSED,
    }
    try:
        if connection.get("privateKey"):
            options["client_keys"] = [
                asyncssh.import_private_key(
                    connection["privateKey"], connection.get("privateKeyPassword")
                )
            ]
        if connection.get("hostKey"):
            key = asyncssh.import_public_key(connection["hostKey"])
            options["known_hosts"] = ([key], [], [])
            options["server_host_key_algs"] = [key.get_algorithm()]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise FailedError(f"connection: a key cannot be read: {error}") from None
    return options


def _agent_socket(connection: Mapping[str, Any]) -> str | None:
    """The socket of the SSH agent, if one is named. Raises FailedError if it does not exist."""
    socket = connection.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK")
    if socket and not Path(socket).is_socket():
        raise FailedError(
            f"dial unix {socket}: connect: no such file or directory (the SSH agent that "
            "connection.agentSocketPath or SSH_AUTH_SOCK names; unset it or start the agent)"
        )
    return socket or None


def _dial_error(connection: Mapping[str, Any], error: Exception) -> str:
    import asyncssh  # noqa: PLC0415

    where = f"{connection['host']}:{int(connection['port'])}"
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return (
                f"ssh: handshake failed: ssh: host key mismatch: {where} answers with another host "
                "key than connection.hostKey"
            )
        case asyncssh.PermissionDenied():
            return (
                f"ssh: handshake failed: ssh: unable to authenticate {connection['user']} at "
                f"{where}: {error}"
            )
        case asyncssh.Error():
            return f"ssh: handshake failed: {where}: {error}"
        case TimeoutError():
            return f"dial tcp {where}: i/o timeout"
        case ConnectionRefusedError():
            return f"dial tcp {where}: connect: connection refused"
    return f"dial tcp {where}: {error}"
