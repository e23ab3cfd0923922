"""A stand-in for pulumi-command 1.2.1: commands on this machine and, over SSH, on others.

It behaves as the official source does: only `triggers` replaces; any other change runs `update`,
or `create` again; `delete` is the command in the state, run over the connection in the state; a
command that fails is shown with all its output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from emulator.offline import ssh
from emulator.offline.inputs import InputType, InvalidInputsError
from emulator.offline.resources import PluginResource, StandIn
from emulator.plugins.provider import FailedError, PluginRequest, serve, unique_id
from emulator.plugins.recorder import CONNECTION_DEFAULTS, CONNECTION_SECRETS
from emulator.plugins.values import UNKNOWN, Properties, Secret, reveal

VERSION = "1.2.1"

# The engine gets this many bytes of a failed command's output; it accepts 16 MiB at most.
_SHOWN = 1 << 20

_LOGGING = ("stdout", "stderr", "stdoutAndStderr", "none")
_PREVIOUS = {"stdout": "PULUMI_COMMAND_STDOUT", "stderr": "PULUMI_COMMAND_STDERR"}

_COMMON: Mapping[str, InputType] = {
    "create": InputType("string"),
    "update": InputType("string"),
    "delete": InputType("string"),
    "environment": InputType("map"),
    "stdin": InputType("string"),
    "triggers": InputType("list", replaces=True),
    "logging": InputType("string"),
    "addPreviousOutputInEnv": InputType("boolean"),
}
_HOST: Mapping[str, InputType] = {
    "host": InputType("string", required=True),
    "port": InputType("number", default=CONNECTION_DEFAULTS["port"]),
    "user": InputType("string", default=CONNECTION_DEFAULTS["user"]),
    **{name: InputType("string", secret=True) for name in sorted(CONNECTION_SECRETS)},
    "agentSocketPath": InputType("string"),
    "hostKey": InputType("string"),
    "dialErrorLimit": InputType("integer", default=CONNECTION_DEFAULTS["dialErrorLimit"]),
    "perDialTimeout": InputType("integer", default=CONNECTION_DEFAULTS["perDialTimeout"]),
}


class CommandResource(PluginResource):
    """What local and remote commands have in common."""

    token: ClassVar[str]

    def check(self, given: Properties) -> Properties:
        inputs = super().check(given)
        logging = reveal(inputs.get("logging"))
        if logging is not None and logging is not UNKNOWN and logging not in _LOGGING:
            raise InvalidInputsError(("logging", f"not one of {', '.join(_LOGGING)}"))
        return inputs

    def preview(self, inputs: Properties) -> Properties:
        return inputs | {"stdout": UNKNOWN, "stderr": UNKNOWN}

    async def create(self, request: PluginRequest, inputs: Properties) -> tuple[str, Properties]:
        outputs = inputs | {"stdout": "", "stderr": ""}
        ran = await self._run(request, "create", inputs.get("create"), outputs)
        return unique_id(request.name), outputs | ran

    async def update(
        self, request: PluginRequest, old: Properties, inputs: Properties
    ) -> Properties:
        outputs = inputs | {stream: old.get(stream, "") for stream in _PREVIOUS}
        command = inputs.get("update") or inputs.get("create")
        return outputs | await self._run(request, "update", command, outputs)

    def preview_update(self, old: Properties, inputs: Properties) -> Properties:
        return inputs | {stream: old.get(stream, "") for stream in _PREVIOUS}

    async def delete(self, request: PluginRequest, old: Properties) -> None:
        await self._run(request, "delete", old.get("delete"), old)

    async def _run(
        self, request: PluginRequest, what: str, command: str | Secret | None, state: Properties
    ) -> Properties:
        """Run a command of the resource; returns the new outputs, none if there is no command."""
        if command is None:
            return {}
        output, shown = ssh.CommandOutput(), _Log(request, reveal(state.get("logging")))

        async def take(stream: str, piece: bytes) -> None:
            output.take(stream, piece)
            await shown.take(stream, piece)

        problem = await self.run(request, reveal(command), reveal(state), take)
        await shown.end()
        if problem:
            quoted = json.dumps(reveal(command), ensure_ascii=False)
            raise FailedError(f"{problem}: running {quoted}:\n{_end_of(output.both)}")
        return {
            stream: getattr(output, stream).decode(errors="replace").removesuffix("\n")
            for stream in _PREVIOUS
        }

    @abstractmethod
    async def run(
        self, request: PluginRequest, command: str, state: Properties, take: ssh.TakeOutput
    ) -> str:
        """Run a command to its end; returns how it failed, or "". `state` is plain."""


def _end_of(output: bytearray) -> str:
    """The part of a failed command's output that is shown: all of it, unless it is very long."""
    left_out = max(len(output) - _SHOWN, 0)
    text = output[left_out:].decode(errors="replace")
    return f"[the first {left_out} bytes are left out]\n{text}" if left_out else text


def _previous_output(state: Properties) -> dict[str, str]:
    """The environment variables with the former output, for an update or a delete."""
    if state.get("addPreviousOutputInEnv") is False:
        return {}
    return {name: state[stream] for stream, name in _PREVIOUS.items() if state.get(stream)}


class _Log:
    """Shows a command's output line by line while it runs, as far as `logging` allows."""

    def __init__(self, request: PluginRequest, logging: str | None) -> None:
        self._request = request
        self._streams = {
            "stdout": ("stdout",),
            "stderr": ("stderr",),
            "none": (),
        }.get(logging or "", ("stdout", "stderr"))
        self._rest = dict.fromkeys(_PREVIOUS, b"")

    async def take(self, stream: str, piece: bytes) -> None:
        if stream not in self._streams:
            return
        *lines, self._rest[stream] = (self._rest[stream] + piece).split(b"\n")
        for line in lines:
            await self._show(line)

    async def end(self) -> None:
        for rest in self._rest.values():
            if rest:
                await self._show(rest)

    async def _show(self, line: bytes) -> None:
        await self._request.log("info", line.decode(errors="replace"), passing=True)


class RemoteCommandResource(CommandResource):
    token = "command:remote:Command"  # noqa: S105
    inputs: ClassVar[Mapping[str, InputType]] = {
        **_COMMON,
        "connection": InputType({**_HOST, "proxy": InputType(_HOST)}, required=True, secret=True),
    }

    async def run(
        self, request: PluginRequest, command: str, state: Properties, take: ssh.TakeOutput
    ) -> str:
        task = ssh.RemoteTask(
            command, state.get("environment", {}), _previous_output(state), state.get("stdin", "")
        )
        return await ssh.run(request, state["connection"], task, take)


class LocalCommandResource(CommandResource):
    token = "command:local:Command"  # noqa: S105
    inputs: ClassVar[Mapping[str, InputType]] = {
        **_COMMON,
        "interpreter": InputType("list"),
        "dir": InputType("string"),
        "assetPaths": InputType("list"),
        "archivePaths": InputType("list"),
    }

    def check(self, given: Properties) -> Properties:
        for name in ("assetPaths", "archivePaths"):
            if given.get(name):
                raise InvalidInputsError((name, "only the official plugin can do this"))
        return super().check(given)

    async def run(
        self, request: PluginRequest, command: str, state: Properties, take: ssh.TakeOutput
    ) -> str:
        interpreter = state.get("interpreter") or ["/bin/sh", "-c"]
        text = state.get("stdin", "")
        try:
            process = await asyncio.create_subprocess_exec(
                *interpreter,
                command,
                cwd=state.get("dir"),
                env={**os.environ, **state.get("environment", {}), **_previous_output(state)},
                stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return f"cannot start {interpreter[0]} in {state.get('dir') or '.'}: {error.strerror}"
        try:
            await asyncio.gather(
                _feed(process.stdin, text),
                _read(process.stdout, "stdout", take),
                _read(process.stderr, "stderr", take),
            )
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        finally:
            code = await process.wait()
        if code < 0:
            return f"signal: {signal.strsignal(-code)}"
        return f"exit status {code}" if code else ""


async def _feed(stdin: asyncio.StreamWriter | None, text: str) -> None:
    if stdin is None:
        return
    # A command need not read its input; its end shows whether it failed.
    with contextlib.suppress(ConnectionError):
        stdin.write(text.encode())
        await stdin.drain()
    stdin.close()


async def _read(reader: asyncio.StreamReader | None, stream: str, take: ssh.TakeOutput) -> None:
    while reader and (piece := await reader.read(65536)):
        await take(stream, piece)


RESOURCES: Mapping[str, PluginResource] = {
    resource.token: resource for resource in (RemoteCommandResource(), LocalCommandResource())
}

if __name__ == "__main__":
    serve(partial(StandIn, VERSION, RESOURCES))
