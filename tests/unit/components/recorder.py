"""Runs a piece of a Pulumi program without an engine and records what it registers.

Pulumi's own mocks know neither parent, dependencies, secrets nor options (pulumi#14421), so the
registration itself is recorded. This is the one place that touches the SDK's internals for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import mocks, rpc, set_mocks
from pulumi.runtime import stack as runtime_stack
from pulumi.runtime.settings import SETTINGS

_SIGNATURE = "4dabf18193072939515e22adb298388d"  # marks special values on the wire


@dataclass(frozen=True)
class Recorded:
    """One registered resource: its inputs, with secrets in plain, and its options."""

    type: str
    name: str
    urn: str
    custom: bool
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    parent: str
    dependencies: frozenset[str]
    deleted_with: str
    delete_before_replace: bool
    replacement_trigger: Any
    protect: bool
    secret_outputs: frozenset[str]
    timeouts: Mapping[str, str]


@dataclass
class Recorder(mocks.Mocks):
    """What a program registered, in order.

    Attributes:
        outputs: extra outputs by resource name.
        calls: results of functions by token.
    """

    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: list[Recorded] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        extra = self.outputs.get(args.name, {})
        return f"{args.name}-id", {**args.inputs, **extra}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return dict(self.calls[args.token]), []

    def of(self, type_: str) -> list[Recorded]:
        """The resources of one type."""
        return [resource for resource in self.resources if resource.type == type_]

    def named(self, name: str) -> Recorded:
        """The resource `name`. A component may have the same name and is left out."""
        [found] = [it for it in self.resources if it.name == name and it.custom]
        return found


class _Monitor(mocks.MockMonitor):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder)
        self.recorder = recorder

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  the name on the wire
        answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.recorder.resources.append(_recorded(request, answer.urn))
        return answer


def _recorded(request: Any, urn: str) -> Recorded:
    timeouts = request.customTimeouts
    return Recorded(
        type=request.type,
        name=request.name,
        urn=urn,
        custom=request.custom,
        inputs={
            key: rpc.unwrap_rpc_secret(value)
            for key, value in rpc.deserialize_properties(request.object).items()
        },
        secrets=frozenset(key for key, value in request.object.items() if _is_secret(value)),
        parent=request.parent.rpartition("::")[2],
        dependencies=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
        deleted_with=request.deletedWith.rpartition("::")[2],
        delete_before_replace=request.deleteBeforeReplace,
        replacement_trigger=MessageToDict(request.replacement_trigger)
        if request.HasField("replacement_trigger")
        else None,
        protect=request.protect,
        secret_outputs=frozenset(request.additionalSecretOutputs),
        timeouts={
            "create": timeouts.create,
            "update": timeouts.update,
            "delete": timeouts.delete,
        },
    )


def _is_secret(value: Any) -> bool:
    return hasattr(value, "keys") and _SIGNATURE in value


def record(
    program: Callable[[], Any],
    *,
    stack: str = "test",
    preview: bool = False,
    outputs: Mapping[str, Mapping[str, Any]] | None = None,
    calls: Mapping[str, Mapping[str, Any]] | None = None,
) -> Recorder:
    """Run `program` to its end on an event loop of its own."""
    recorder = Recorder(outputs or {}, calls or {})
    with _fresh_loop() as loop:
        SETTINGS.rpc_manager.clear()
        SETTINGS.outputs.clear()
        set_mocks(
            recorder,
            project="ollamazure",
            stack=stack,
            preview=preview,
            monitor=_Monitor(recorder),
        )

        async def run() -> None:
            await runtime_stack.run_pulumi_func(lambda: _nothing(program()))

        loop.run_until_complete(run())
    return recorder


def resolve(output: pulumi.Output[Any]) -> Any:
    """The value of an output that depends on no resource."""
    with _fresh_loop() as loop:
        return loop.run_until_complete(output.future())


def _nothing(_: Any) -> None:
    """Drops a program's value, which the SDK would try to await."""


@contextmanager
def _fresh_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()
