# ruff: noqa: N802 -- the methods are called as the engine calls them
"""What the stand-ins share: Pulumi's provider protocol in terms of plain Python values.

A plugin is a set of `Kind`s, one for each resource type. Properties are JSON-like Python values
in which `Secret` wraps what must not be shown and `UNKNOWN` stands for what a preview cannot
know. `pulumi.provider.experimental` knows no unknown values (a preview with one fails in it)
and puts the name of a Python exception before each message, therefore this.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Properties = dict[str, Any]
Severity = Literal["info", "warning", "error"]
Result = TypeVar("Result")

# The marks that Pulumi puts on the wire, from its SDK's resource/plugin/rpc.go.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 -- a mark, no password
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = {
    _UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # a list
    "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
    "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # an object
}
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Unknown:
    """The value of everything that a preview cannot know."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in the state and never shows."""

    value: Any

    def __repr__(self) -> str:
        return "Secret([secret])"


class FailedError(Exception):
    """An operation failed; the message goes to the user as it is."""


class InvalidInputsError(Exception):
    """Inputs that the resource refuses: pairs of property and reason."""

    def __init__(self, *failures: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in failures))
        self.failures = failures


def plain(value: Any) -> Any:
    """The value without its marks of secrecy."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def holds(value: Any, kind: type[Secret] | type[Unknown]) -> bool:
    """Whether a secret, or an unknown value, is anywhere in this value."""
    if isinstance(value, kind):
        return True
    if isinstance(value, Secret):
        return holds(value.value, kind)
    if isinstance(value, dict):
        return any(holds(item, kind) for item in value.values())
    return isinstance(value, list) and any(holds(item, kind) for item in value)


def decode(value: struct_pb2.Value) -> Any:
    """A value as it came over the wire."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if math.isfinite(number) and number == int(number) else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [decode(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = decode_map(value.struct_value)
        return Secret(fields["value"]) if fields.get(_SIGNATURE) == _SECRET else fields
    return None


def decode_map(values: struct_pb2.Struct) -> Properties:
    return {key: decode(value) for key, value in values.fields.items()}


def encode(value: Any) -> struct_pb2.Value:  # noqa: PLR0911 -- one for each kind of value
    """A value as it goes over the wire."""
    match value:
        case Unknown():
            return struct_pb2.Value(string_value=_UNKNOWN)
        case Secret():
            return encode({_SIGNATURE: _SECRET, "value": value.value})
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case dict():
            return struct_pb2.Value(struct_value=encode_map(value))
        case list():
            values = [encode(item) for item in value]
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=values))
    return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)


def encode_map(values: Mapping[str, Any]) -> struct_pb2.Struct:
    return struct_pb2.Struct(fields={key: encode(value) for key, value in values.items()})


@dataclass(frozen=True)
class Input:
    """One input of a resource type, as its official schema has it.

    `type` is string, number, integer, boolean, list, map, any, or the fields of a nested object.
    """

    type: str | Mapping[str, Input]
    required: bool = False
    default: Any = None
    replaces: bool = False
    secret: bool = False

    def check(self, path: str, value: Any) -> tuple[Any, list[tuple[str, str]]]:
        """The value with its defaults in, and what is wrong with it."""
        if isinstance(value, Secret):
            checked, failures = self.check(path, value.value)
            return Secret(checked), failures
        if isinstance(value, Unknown):
            return value, []
        if isinstance(self.type, str):
            return value, _mistyped(path, self.type, value)
        if not isinstance(value, dict):
            return value, [(path, f"an object is expected, not {_said(value)}")]
        return check_all(self.type, value, f"{path}.")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "list": (list,),
    "map": (dict,),
}


def _mistyped(path: str, wanted: str, value: Any) -> list[tuple[str, str]]:
    if wanted == "any" or (isinstance(value, _TYPES[wanted]) and _is_bool(value, wanted)):
        return []
    return [(path, f"a {wanted} is expected, not {_said(value)}")]


def _is_bool(value: Any, wanted: str) -> bool:
    return isinstance(value, bool) == (wanted == "boolean")


def _said(value: Any) -> str:
    """What a value is, without the value, which may be a secret."""
    return {str: "a string", bool: "a boolean", dict: "an object", list: "a list"}.get(
        type(value), "a number"
    )


def check_all(
    known: Mapping[str, Input], given: Mapping[str, Any], prefix: str = ""
) -> tuple[Properties, list[tuple[str, str]]]:
    """All values with their defaults in, and all that is wrong with them."""
    failures = [
        (f"{prefix}{name}", f"an unexpected argument {name!r} was given; known are {_list(known)}")
        for name in given
        if name not in known
    ]
    checked: Properties = {}
    for name, rule in known.items():
        value = given.get(name)
        if value is None:
            value = rule.default
        if value is None:
            if rule.required:
                failures.append((f"{prefix}{name}", f"missing required property {name!r}"))
            continue
        value, wrong = rule.check(f"{prefix}{name}", value)
        failures += wrong
        checked[name] = Secret(plain(value)) if rule.secret else value
    return checked, failures


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


@dataclass
class Operation:
    """One request of the engine, as a kind sees it."""

    urn: str
    timeout: float
    engine: engine_pb2_grpc.EngineAsyncStub
    stream: int = field(default_factory=lambda: secrets.randbelow(2**31))

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]

    async def log(self, severity: Severity, message: str, passing: bool = False) -> None:
        """Show a message at this resource; a `passing` one only until the next comes."""
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


class Kind(ABC):
    """A resource type: what it takes, and what is done when it changes."""

    inputs: ClassVar[Mapping[str, Input]]

    def check(self, given: Properties) -> Properties:
        """The inputs with their defaults in; raises InvalidInputsError."""
        checked, failures = check_all(self.inputs, given)
        if failures:
            raise InvalidInputsError(*failures)
        return checked

    @abstractmethod
    def preview(self, inputs: Properties) -> Properties:
        """The outputs of a create, so far as they can be told before."""

    @abstractmethod
    async def create(self, operation: Operation, inputs: Properties) -> tuple[str, Properties]:
        """The new resource's id and outputs; raises FailedError."""

    def preview_update(self, old: Properties, inputs: Properties) -> Properties:
        """The outputs of an update, so far as they can be told before."""
        return old | inputs

    async def update(self, operation: Operation, old: Properties, inputs: Properties) -> Properties:
        """The outputs after an update; raises FailedError. `old` are the former outputs."""
        return old | inputs

    async def delete(self, operation: Operation, old: Properties) -> None:  # noqa: B027
        """Undo it; raises FailedError. Nothing to do for what exists in the state alone."""


class Generated(Kind):
    """Something that is worked out once, when it is created, and stays until it is replaced."""

    outputs: ClassVar[Mapping[str, bool]]
    """What is worked out, and whether each is a secret."""

    def preview(self, inputs: Properties) -> Properties:
        return inputs | self._marked(dict.fromkeys(self.outputs, UNKNOWN))

    async def create(self, operation: Operation, inputs: Properties) -> tuple[str, Properties]:
        identity, values = await asyncio.to_thread(self.generate, plain(inputs))
        return identity, inputs | self._marked(values)

    @abstractmethod
    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        """The id and the outputs for these plain inputs; raises FailedError."""

    def _marked(self, values: Properties) -> Properties:
        return {
            name: Secret(values[name]) if secret else values[name]
            for name, secret in self.outputs.items()
        }


def unique_hex(name: str) -> str:
    """An id as the official providers make it: the name and eight random hexadecimal digits."""
    return f"{name}{secrets.token_hex(4)}"


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The paths at which two plain values differ, each with add, delete or update."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from differences(_at(old, index), _at(new, index), f"{path}[{index}]")
    elif old != new:
        yield path, "ADD" if old is None else "DELETE" if new is None else "UPDATE"


def _at(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def diff_response(
    differing: Iterable[tuple[str, str]], replaces: Callable[[str], bool]
) -> provider_pb2.DiffResponse:
    """What the engine is told of `differences`; `replaces` says which properties replace."""
    detailed, changed, replacing = {}, set(), set()
    for path, how in differing:
        name = path.partition(".")[0].partition("[")[0]
        changed.add(name)
        if replaces(name):
            replacing.add(name)
        detailed[path] = provider_pb2.PropertyDiff(
            kind=provider_pb2.PropertyDiff.Kind.Value(
                f"{how}_REPLACE" if name in replacing else how
            ),
            inputDiff=True,
        )
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=some if changed else none,
        diffs=sorted(changed),
        replaces=sorted(replacing),
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine for one plugin."""

    def __init__(self, version: str, kinds: Mapping[str, Kind], engine: str) -> None:
        self._version = version
        self._kinds = kinds
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
            grpc.StatusCode.UNIMPLEMENTED, "a stand-in has no schema; the official plugin has one"
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

    async def Invoke(
        self, request: provider_pb2.InvokeRequest, context: Context
    ) -> provider_pb2.InvokeResponse:
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"{request.tok} is not a function of this stand-in: only the official plugin has it",
        )

    async def Check(
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        kind = await self._kind(request.urn, context)
        try:
            return provider_pb2.CheckResponse(
                inputs=encode_map(kind.check(decode_map(request.news)))
            )
        except InvalidInputsError as invalid:
            return provider_pb2.CheckResponse(
                inputs=request.news,
                failures=[
                    provider_pb2.CheckFailure(property=name, reason=reason)
                    for name, reason in invalid.failures
                ],
            )

    async def Diff(
        self, request: provider_pb2.DiffRequest, context: Context
    ) -> provider_pb2.DiffResponse:
        kind = await self._kind(request.urn, context)
        old, new = plain(decode_map(request.old_inputs)), plain(decode_map(request.news))
        return diff_response(
            differences(old, new),
            lambda name: name in kind.inputs and kind.inputs[name].replaces,
        )

    async def Create(
        self, request: provider_pb2.CreateRequest, context: Context
    ) -> provider_pb2.CreateResponse:
        kind = await self._kind(request.urn, context)
        inputs = decode_map(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=encode_map(kind.preview(inputs)))
        operation = Operation(request.urn, request.timeout, self._engine)
        created = await self._carry_out(operation, kind.create(operation, inputs), context)
        return provider_pb2.CreateResponse(id=created[0], properties=encode_map(created[1]))

    async def Read(
        self, request: provider_pb2.ReadRequest, context: Context
    ) -> provider_pb2.ReadResponse:
        if not request.properties.fields:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{request.urn} cannot be imported: it exists in no place but the state",
            )
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    async def Update(
        self, request: provider_pb2.UpdateRequest, context: Context
    ) -> provider_pb2.UpdateResponse:
        kind = await self._kind(request.urn, context)
        old, inputs = decode_map(request.olds), decode_map(request.news)
        if request.preview:
            outputs = kind.preview_update(old, inputs)
        else:
            operation = Operation(request.urn, request.timeout, self._engine)
            updating = kind.update(operation, old, inputs)
            outputs = await self._carry_out(operation, updating, context)
        return provider_pb2.UpdateResponse(properties=encode_map(outputs))

    async def Delete(
        self, request: provider_pb2.DeleteRequest, context: Context
    ) -> empty_pb2.Empty:
        kind = await self._kind(request.urn, context)
        operation = Operation(request.urn, request.timeout, self._engine)
        deleting = kind.delete(operation, decode_map(request.properties))
        await self._carry_out(operation, deleting, context)
        return empty_pb2.Empty()

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        for task in self._running:
            task.cancel()
        return empty_pb2.Empty()

    async def _kind(self, urn: str, context: Context) -> Kind:
        token = urn.split("::")[2].rsplit("$", 1)[-1]
        if token not in self._kinds:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{token} is not a resource type of this stand-in, which knows "
                f"{_list(self._kinds)}; only the official plugin has it",
            )
        return self._kinds[token]

    async def _carry_out(
        self,
        operation: Operation,
        work: Coroutine[Any, Any, Result],
        context: Context,
    ) -> Result:
        task = asyncio.create_task(work)
        self._running.add(task)
        try:
            async with asyncio.timeout(operation.timeout or None):
                return await task
        except TimeoutError:
            problem = f"did not end within its timeout of {operation.timeout:g} s"
        except asyncio.CancelledError:
            problem = "no longer waited for: the update was cancelled; what was begun may go on"
        except FailedError as failure:
            problem = str(failure)
        finally:
            self._running.discard(task)
        await context.abort(grpc.StatusCode.UNKNOWN, problem)
        raise AssertionError("abort raises")


def serve(version: str, kinds: Mapping[str, Kind], servicer: type[Servicer] | None = None) -> None:
    """Be the plugin until the engine ends it, or is gone; its address is the last argument."""

    async def run() -> None:
        server = grpc.aio.server(options=_UNLIMITED)
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(
            (servicer or Servicer)(version, kinds, sys.argv[-1]), server
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        print(port, flush=True)
        engine = os.getppid()
        while not ended.is_set() and os.getppid() == engine:  # a killed engine ends nothing itself
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), timeout=1)
        await server.stop(grace=1)

    asyncio.run(run())
