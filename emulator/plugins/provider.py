# ruff: noqa: N802 -- the methods are called as the engine calls them
"""Pulumi's provider protocol: what every plugin here does the same way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Severity = Literal["info", "warning", "error"]
Result = TypeVar("Result")
_Change: TypeAlias = (
    provider_pb2.CreateRequest | provider_pb2.UpdateRequest | provider_pb2.DeleteRequest
)

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class FailedError(Exception):
    """An operation failed; the message is shown to the user as it is."""


@dataclass
class PluginRequest:
    """One request of the engine to create, update or delete a resource."""

    urn: str
    timeout: float
    engine: engine_pb2_grpc.EngineAsyncStub
    stream: int = field(default_factory=lambda: secrets.randbelow(2**31))

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", 1)[-1]

    async def log(self, severity: Severity, message: str, passing: bool = False) -> None:
        """Show a message at this resource; a `passing` one disappears when the next comes."""
        with contextlib.suppress(grpc.RpcError):
            await self.engine.Log(
                engine_pb2.LogRequest(
                    severity=engine_pb2.LogSeverity.Value(severity.upper()),
                    message=message,
                    urn=self.urn,
                    streamId=self.stream,
                    ephemeral=passing,
                )
            )


class PluginServicer(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine for one plugin; `engine` is the engine's address."""

    def __init__(self, version: str, engine: str) -> None:
        self._version = version
        self._running: set[asyncio.Task[Any]] = set()
        channel = grpc.aio.insecure_channel(engine, options=_UNLIMITED)
        self._engine = cast("engine_pb2_grpc.EngineAsyncStub", engine_pb2_grpc.EngineStub(channel))

    async def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=False
        )

    async def GetPluginInfo(
        self, request: empty_pb2.Empty, context: Context
    ) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self._version)

    async def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED, "this plugin has no schema; the official one has"
        )

    async def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(
        self, request: provider_pb2.DiffRequest, context: Context
    ) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=False, acceptOutputs=False
        )

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        for task in self._running:
            task.cancel()
        return empty_pb2.Empty()

    def _plugin_request(self, message: _Change) -> PluginRequest:
        return PluginRequest(message.urn, message.timeout, self._engine)

    async def _carry_out(
        self,
        request: PluginRequest,
        work: Coroutine[Any, Any, Result],
        context: Context,
    ) -> Result:
        """Do the work and return its result; on a failure, report it to the engine instead."""
        task = asyncio.create_task(work)
        self._running.add(task)
        try:
            async with asyncio.timeout(request.timeout or None):
                return await task
        except TimeoutError:
            problem = f"did not end within its timeout of {request.timeout:g} s"
        except asyncio.CancelledError:
            problem = "no longer waited for: the update was cancelled; what was begun may go on"
        except FailedError as failure:
            problem = str(failure)
        finally:
            self._running.discard(task)
        await context.abort(grpc.StatusCode.UNKNOWN, problem)
        raise AssertionError("abort raises")


class _Hold(grpc.aio.ServerInterceptor):
    """Keeps back the answers about the resources that $OLLAMAZURE_HOLD names, with commas.

    The work is done, and the engine does not learn of it: the worst moment to kill a run. The
    folder `held` of the instance has an empty file for each of them.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = Path(os.environ["OLLAMAZURE_EMULATOR"]) / "held"

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if details.method.rpartition("/")[2] not in ("Create", "Read", "Update", "Delete"):
            return handler

        async def answer(request: Any, context: Context) -> Any:
            response = await handler.unary_unary(request, context)
            name = request.urn.rpartition("::")[2]
            if name in self._names and not getattr(request, "preview", False):
                self._held.mkdir(exist_ok=True)
                (self._held / name).touch()
                await asyncio.Event().wait()
            return response

        return grpc.unary_unary_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )


def token_of(urn: str) -> str:
    """The type token of a resource, such as `command:remote:Command`."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def unique_id(name: str) -> str:
    """An id as the official plugins make it: the name and eight random hexadecimal digits."""
    return f"{name}{secrets.token_hex(4)}"


def serve(plugin: Callable[[str], PluginServicer]) -> None:
    """Run a plugin until the engine ends it, or has ended itself.

    `plugin` gets the engine's address, which is the last argument of this process.
    """

    async def run() -> None:
        held = os.environ.get("OLLAMAZURE_HOLD")
        hold = [_Hold(held.split(","))] if held else []
        server = grpc.aio.server(interceptors=hold, options=_UNLIMITED)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(plugin(sys.argv[-1]), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        print(port, flush=True)
        engine = os.getppid()
        while not ended.is_set() and os.getppid() == engine:  # a killed engine ends no plugin
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), timeout=1)
        await server.stop(grace=1)

    asyncio.run(run())
