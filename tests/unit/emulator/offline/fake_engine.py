"""The part of the engine that a stand-in uses while it works."""

from __future__ import annotations

from typing import cast

from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from emulator.plugins.provider import PluginRequest


class Engine:
    """Takes the log messages that the real engine would show."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:  # noqa: N802
        self.messages.append(request.message)
        return empty_pb2.Empty()

    def request(self) -> PluginRequest:
        urn = "urn:pulumi:dev::test::command:local:Command::it"
        return PluginRequest(urn, 0, cast("engine_pb2_grpc.EngineAsyncStub", self))
