# ruff: noqa: N802 -- the methods are called as the engine calls them
"""pulumi-command in plan mode: commands are recorded instead of run.

Each create, update and delete becomes one line of `recorder.jsonl` in the instance's folder, with
every secret replaced; tests of the program read it. Nothing may run in plan mode, because there is
no machine, so this plugin answers even where the official one is installed.
"""

from __future__ import annotations

import json
import os
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from emulator.plugins.differences import diff_response, find_differences
from emulator.plugins.provider import Context, PluginServicer, serve, token_of, unique_id
from emulator.plugins.values import (
    UNKNOWN,
    Properties,
    Secret,
    Unknown,
    decode_map,
    encode_map,
    reveal,
)

MASK = "[secret]"
CONNECTION_DEFAULTS = {"port": 22, "user": "root", "dialErrorLimit": 10, "perDialTimeout": 15}
"""What pulumi-command fills in where `connection` leaves it out."""
CONNECTION_SECRETS = {"password", "privateKey", "privateKeyPassword"}
"""What pulumi-command marks as secret inside `connection`, which is a secret itself."""

_TOKENS = ("command:local:Command", "command:remote:Command")
_OUTPUTS = ("stdout", "stderr")
_RECORDED_INPUTS = ("environment", "stdin", "triggers", "dir", "interpreter", "logging")


class CommandRecorder(PluginServicer):
    """Answers the engine for `command`; runs nothing."""

    async def Check(
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        if (token := token_of(request.urn)) not in _TOKENS:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"plan mode cannot record {token}; it records {' and '.join(_TOKENS)}",
            )
        inputs = decode_map(request.news)
        connection = reveal(inputs.get("connection"))
        if isinstance(connection, dict):
            hidden = {
                name: Secret(connection[name]) for name in CONNECTION_SECRETS & connection.keys()
            }
            inputs["connection"] = Secret(CONNECTION_DEFAULTS | connection | hidden)
        return provider_pb2.CheckResponse(inputs=encode_map(inputs))

    async def Diff(
        self, request: provider_pb2.DiffRequest, context: Context
    ) -> provider_pb2.DiffResponse:
        old, new = reveal(decode_map(request.old_inputs)), reveal(decode_map(request.news))
        return diff_response(find_differences(old, new), lambda name: name == "triggers")

    async def Create(
        self, request: provider_pb2.CreateRequest, context: Context
    ) -> provider_pb2.CreateResponse:
        name, inputs = request.urn.rpartition("::")[2], decode_map(request.properties)
        outputs = inputs | dict.fromkeys(_OUTPUTS, UNKNOWN if request.preview else "")
        if not request.preview:
            record("create", request.urn, inputs.get("create"), inputs)
        return provider_pb2.CreateResponse(id=unique_id(name), properties=encode_map(outputs))

    async def Read(
        self, request: provider_pb2.ReadRequest, context: Context
    ) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    async def Update(
        self, request: provider_pb2.UpdateRequest, context: Context
    ) -> provider_pb2.UpdateResponse:
        old, inputs = decode_map(request.olds), decode_map(request.news)
        if not request.preview:
            record("update", request.urn, inputs.get("update") or inputs.get("create"), inputs)
        outputs = inputs | {name: old.get(name, "") for name in _OUTPUTS}
        return provider_pb2.UpdateResponse(properties=encode_map(outputs))

    async def Delete(
        self, request: provider_pb2.DeleteRequest, context: Context
    ) -> empty_pb2.Empty:
        old = decode_map(request.properties)
        record("delete", request.urn, old.get("delete"), old)
        return empty_pb2.Empty()


def record(operation: str, urn: str, command: str | Secret | None, inputs: Properties) -> None:
    """Append what would have been done. Raises OSError when the file cannot be written."""
    connection: Properties = reveal(inputs.get("connection")) or {}
    line: Properties = {
        "operation": operation,
        "type": token_of(urn),
        "name": urn.rpartition("::")[2],
        "command": _mask(command),
        "host": connection.get("host"),
        "user": connection.get("user"),
    }
    line |= {key: _mask(inputs[key]) for key in _RECORDED_INPUTS if key in inputs}
    file = Path(os.environ["OLLAMAZURE_EMULATOR"]) / "recorder.jsonl"
    # One write to a file opened for appending does not mix with another's.
    with file.open("a") as recorded:
        recorded.write(json.dumps(line) + "\n")


def _mask(value: Any) -> Any:
    """The value with every secret in it replaced."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Unknown):
        return None
    if isinstance(value, dict):
        return {key: _mask(item) for key, item in value.items()}
    return [_mask(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    serve(partial(CommandRecorder, version("pulumi-command")))
