"""How commands sign in and fail, with an SSH server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest

from emulator.offline import ssh
from emulator.plugins.provider import FailedError
from tests.unit.emulator.offline.fake_engine import Engine

pytestmark = pytest.mark.unit

HOST = "127.0.0.8"
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
CLIENT_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Server(asyncssh.SSHServer):
    """Lets `it` in by key, or with the password."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("it", "the password")

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key == CLIENT_KEY.convert_to_public()

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        return True


Behaviour = Callable[["asyncssh.SSHServerProcess[str]"], Coroutine[Any, Any, None]]


async def echo(process: asyncssh.SSHServerProcess[str]) -> None:
    """Answer with the command and what came on standard input."""
    given = await process.stdin.read()
    process.stdout.write(f"{process.command}: {given}\n")
    process.stderr.write("to stderr\n")
    process.exit(0)


@asynccontextmanager
async def serving(behaviour: Behaviour = echo) -> AsyncIterator[int]:
    """Run a server; yields its port."""
    server = await asyncssh.create_server(
        Server, HOST, 0, server_host_keys=[HOST_KEY], process_factory=behaviour
    )
    async with server:
        yield server.get_port()


def connection(port: int, **more: Any) -> dict[str, Any]:
    return {
        "host": HOST,
        "port": port,
        "user": "it",
        "hostKey": HOST_KEY.export_public_key().decode(),
        "dialErrorLimit": 0,
        "perDialTimeout": 15,
    } | more


async def run(
    where: dict[str, Any], command: str = "say", stdin: str = "", engine: Engine | None = None
) -> tuple[str, ssh.CommandOutput]:
    output = ssh.CommandOutput()

    async def took(stream: str, piece: bytes) -> None:
        output.take(stream, piece)

    operation = (engine or Engine()).request()
    task = ssh.RemoteTask(command, {}, {}, stdin)
    return await ssh.run(operation, where, task, took), output


def pem(password: str | None = None) -> str:
    return CLIENT_KEY.export_private_key("openssh", passphrase=password, rounds=1).decode()


@pytest.mark.parametrize(
    "given",
    [
        {"password": "the password"},
        {"privateKey": pem()},
        {"privateKey": pem("phrase"), "privateKeyPassword": "phrase"},
        {"privateKey": CLIENT_KEY.export_private_key("pkcs8-pem").decode()},
    ],
    ids=["password", "key", "encrypted-key", "pkcs8-key"],
)
def test_ways_to_sign_in(given: dict[str, str]) -> None:
    async def test() -> None:
        async with serving() as port:
            problem, output = await run(connection(port, **given), "say it", "what is given")
            assert not problem
            assert output.stdout == b"say it: what is given\n"
            assert output.stderr == b"to stderr\n"

    asyncio.run(test())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"password": "wrong"},
            "after 0 failed attempts: ssh: handshake failed: .*authenticate it",
        ),
        ({}, "unable to authenticate it"),
        ({"privateKey": "nonsense"}, "connection: a key cannot be read"),
        ({"privateKey": pem("phrase")}, "connection: a key cannot be read"),
        ({"hostKey": "nonsense"}, "connection: a key cannot be read"),
        (
            {"hostKey": CLIENT_KEY.export_public_key().decode(), "password": "the password"},
            "host key mismatch",
        ),
        ({"agentSocketPath": "/nowhere"}, "dial unix /nowhere: connect: no such file"),
    ],
)
def test_ways_not_to(given: dict[str, str], message: str) -> None:
    async def test() -> None:
        async with serving() as port:
            with pytest.raises(FailedError, match=message) as failure:
                await run(connection(port, **given))
            assert "wrong" not in str(failure.value)

    asyncio.run(test())


def test_every_dial_error_is_tried_again() -> None:
    async def test() -> None:
        engine = Engine()
        async with serving() as port:
            where = connection(port, password="wrong", dialErrorLimit=3)
            with pytest.raises(FailedError, match="after 3 failed attempts"):
                await run(where, engine=engine)
        assert engine.messages == [f"Dial {number}/3 failed: retrying" for number in (1, 2, 3)]

    asyncio.run(test())


def test_through_a_proxy() -> None:
    async def test() -> None:
        async with serving() as bastion, serving() as port:
            proxy = connection(bastion, privateKey=pem())
            where = connection(port, password="the password", proxy=proxy)
            assert (await run(where))[1].stdout == b"say: \n"
            proxy["port"] = 1
            with pytest.raises(FailedError, match=f"dial tcp {HOST}:1"):
                await run(where)

    asyncio.run(test())


async def fail(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write("before")
    process.exit(5)


async def die(process: asyncssh.SSHServerProcess[str]) -> None:
    process.exit_with_signal("KILL")


async def vanish(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write("before")
    process.get_extra_info("connection").abort()


async def ignore_input(process: asyncssh.SSHServerProcess[str]) -> None:
    process.exit(0)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (fail, "Process exited with status 5"),
        (die, "Process exited with status 128 from signal KILL"),
        (vanish, f"the connection to {HOST} was lost"),
        (ignore_input, ""),
    ],
)
def test_how_a_command_ends(behaviour: Behaviour, message: str) -> None:
    async def test() -> None:
        async with serving(behaviour) as port:
            where = connection(port, password="the password")
            problem, _ = await run(where, stdin="x" * 10_000_000)
            assert problem.startswith(message)
            assert bool(problem) == bool(message)

    asyncio.run(test())


def test_a_machine_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_KEEPALIVE", 0.05)

    async def silent(process: asyncssh.SSHServerProcess[str]) -> None:
        # The server answers nothing any more, and the connection stays open.
        process.get_extra_info("connection")._transport.pause_reading()
        await asyncio.Event().wait()

    async def test() -> None:
        async with serving(silent) as port:
            problem, _ = await run(connection(port, password="the password"))
            assert problem.startswith(f"the connection to {HOST} was lost")

    asyncio.run(test())
