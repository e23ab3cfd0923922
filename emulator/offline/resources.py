# ruff: noqa: N802 -- the methods are called as the engine calls them
"""What the stand-ins share: a plugin as a set of `PluginResource`s, one for each resource type.

`pulumi.provider.experimental` could not be used: a preview with an unknown value fails in it, and
it puts the name of a Python exception before each message.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from emulator.offline.inputs import (
    InputType,
    InvalidInputsError,
    check_inputs,
    comma_list,
    complete,
)
from emulator.plugins.differences import diff_response, find_differences
from emulator.plugins.provider import (
    Context,
    PluginRequest,
    PluginServicer,
    token_of,
)
from emulator.plugins.values import (
    UNKNOWN,
    Properties,
    Secret,
    decode_map,
    encode_map,
    reveal,
)


class PluginResource(ABC):
    """A resource type: its inputs, and what happens when a resource changes."""

    inputs: ClassVar[Mapping[str, InputType]]

    def check(self, given: Properties) -> Properties:
        """The inputs as the state keeps them. Raises InvalidInputsError."""
        checked, failures = check_inputs(self.inputs, given)
        if failures:
            raise InvalidInputsError(*failures)
        return checked

    def complete(self, inputs: Properties) -> Properties:
        """The inputs, and what holds for those that the program has left out."""
        return complete(self.inputs, inputs)

    @abstractmethod
    def preview(self, inputs: Properties) -> Properties:
        """The outputs of a create, as far as a preview can know them."""

    @abstractmethod
    async def create(self, request: PluginRequest, inputs: Properties) -> tuple[str, Properties]:
        """Create the resource; returns its id and outputs. Raises FailedError."""

    @abstractmethod
    def preview_update(self, old: Properties, inputs: Properties) -> Properties:
        """The outputs of an update, as far as a preview can know them."""

    @abstractmethod
    async def update(
        self, request: PluginRequest, old: Properties, inputs: Properties
    ) -> Properties:
        """Update the resource with the former outputs `old`; returns its outputs.

        Raises FailedError.
        """

    async def delete(self, request: PluginRequest, old: Properties) -> None:  # noqa: B027
        """Delete the resource. Raises FailedError. What exists only in the state needs nothing."""


class GeneratedResource(PluginResource):
    """A value that is computed once, at creation, and stays until the resource is replaced."""

    outputs: ClassVar[Mapping[str, bool]]
    """The names of the computed outputs, and whether each is a secret."""
    schema_version: ClassVar[int] = 0
    """The version of its state in the Terraform provider that the official plugin is made of; a
    state without it is migrated by the official plugin as one of version 0."""

    def preview(self, inputs: Properties) -> Properties:
        return self.complete(inputs) | self._mark_secrets(dict.fromkeys(self.outputs, UNKNOWN))

    def preview_update(self, old: Properties, inputs: Properties) -> Properties:
        return old | self.complete(inputs)

    async def create(self, request: PluginRequest, inputs: Properties) -> tuple[str, Properties]:
        whole = self.complete(inputs)
        identity, values = await asyncio.to_thread(self.generate, reveal(whole))
        outputs = whole | self._mark_secrets(values) | {"id": identity}
        if self.schema_version:
            outputs["__meta"] = json.dumps(
                {"schema_version": str(self.schema_version)}, separators=(",", ":")
            )
        return identity, outputs

    async def update(
        self, request: PluginRequest, old: Properties, inputs: Properties
    ) -> Properties:
        return old | self.complete(inputs)

    @abstractmethod
    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        """Compute the id and the outputs from plain, complete inputs. Raises FailedError."""

    def _mark_secrets(self, values: Properties) -> Properties:
        return {
            name: Secret(values[name]) if secret else values[name]
            for name, secret in self.outputs.items()
        }


class StandIn(PluginServicer):
    """Answers the engine with the resources of one official plugin."""

    def __init__(self, version: str, resources: Mapping[str, PluginResource], engine: str) -> None:
        super().__init__(version, engine)
        self._resources = resources

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
        resource = await self._resource(request.urn, context)
        try:
            return provider_pb2.CheckResponse(
                inputs=encode_map(resource.check(decode_map(request.news)))
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
        resource = await self._resource(request.urn, context)
        old, new = (
            resource.complete(reveal(decode_map(inputs)))
            for inputs in (request.old_inputs, request.news)
        )
        return diff_response(
            find_differences(old, new),
            lambda name: name in resource.inputs and resource.inputs[name].replaces,
        )

    async def Create(
        self, request: provider_pb2.CreateRequest, context: Context
    ) -> provider_pb2.CreateResponse:
        resource = await self._resource(request.urn, context)
        inputs = decode_map(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=encode_map(resource.preview(inputs)))
        creation = self._plugin_request(request)
        work = resource.create(creation, inputs)
        identity, outputs = await self._carry_out(creation, work, context)
        return provider_pb2.CreateResponse(id=identity, properties=encode_map(outputs))

    async def Read(
        self, request: provider_pb2.ReadRequest, context: Context
    ) -> provider_pb2.ReadResponse:
        if not request.properties.fields:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{request.urn} cannot be imported: it exists only in the state",
            )
        return provider_pb2.ReadResponse(
            id=request.id, properties=request.properties, inputs=request.inputs
        )

    async def Update(
        self, request: provider_pb2.UpdateRequest, context: Context
    ) -> provider_pb2.UpdateResponse:
        resource = await self._resource(request.urn, context)
        old, inputs = decode_map(request.olds), decode_map(request.news)
        if request.preview:
            outputs = resource.preview_update(old, inputs)
        else:
            update = self._plugin_request(request)
            outputs = await self._carry_out(update, resource.update(update, old, inputs), context)
        return provider_pb2.UpdateResponse(properties=encode_map(outputs))

    async def Delete(
        self, request: provider_pb2.DeleteRequest, context: Context
    ) -> empty_pb2.Empty:
        resource = await self._resource(request.urn, context)
        deletion = self._plugin_request(request)
        work = resource.delete(deletion, decode_map(request.properties))
        await self._carry_out(deletion, work, context)
        return empty_pb2.Empty()

    async def _resource(self, urn: str, context: Context) -> PluginResource:
        token = token_of(urn)
        if token not in self._resources:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{token} is not a resource type of this stand-in, which knows "
                f"{comma_list(self._resources)}; only the official plugin has it",
            )
        return self._resources[token]
