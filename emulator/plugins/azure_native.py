# ruff: noqa: N802 -- the methods are called as the engine calls them
"""pulumi-azure-native 3.29.0 for the engine, answered by the emulated Azure.

It behaves like the official provider, also where that is inconvenient: inputs are compared
with inputs; few changes replace a resource; a preview of an update knows only the inputs, the
name and the location; creating what exists is an error; a read changes an input only
where Azure's answer changed.
"""

from __future__ import annotations

import hashlib
import secrets
from importlib.metadata import version
from typing import Any

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from emulator.azure.errors import AzureError
from emulator.azure.identities import TENANT
from emulator.azure.names import SUBSCRIPTION
from emulator.azure.service import Azure, without_nulls
from emulator.instance import Instance
from emulator.plugins.azure_client import AzureClient, PartialFailureError, error_text
from emulator.plugins.azure_refresh import refresh_inputs
from emulator.plugins.azure_types import (
    CREATE_BEFORE_DELETE,
    FUNCTIONS,
    LISTS,
    TYPES,
    NativeType,
)
from emulator.plugins.differences import diff_response, find_differences
from emulator.plugins.provider import (
    Context,
    FailedError,
    PluginRequest,
    PluginServicer,
    serve,
    token_of,
)
from emulator.plugins.values import Properties, Unknown, decode_map, encode_map, reveal

VERSION = version("pulumi-azure-native")

CONFIGURATION = frozenset(
    {
        *("location", "subscriptionId", "version", "pluginDownloadURL"),
        # For signing in to the real Azure: accepted, and not used here.
        *("auxiliaryTenantIds", "clientCertificatePassword", "clientCertificatePath", "clientId"),
        *("clientSecret", "disableInstanceDiscovery", "disablePulumiPartnerId", "environment"),
        *("msiEndpoint", "oidcRequestToken", "oidcRequestUrl", "oidcToken", "oidcTokenFilePath"),
        *("metadataHost", "partnerId", "tenantId", "useDefaultAzureCredential", "useMsi"),
        "useOidc",
    }
)


class AzureNative(PluginServicer):
    """Answers the engine for azure-native."""

    def __init__(self, engine: str) -> None:
        super().__init__(VERSION, engine)
        self._azure = Azure(Instance.open())
        self._client = AzureClient(self._azure)
        self._location: str | None = None
        self._subscription = SUBSCRIPTION

    async def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        unknown = sorted(set(request.news.fields) - CONFIGURATION)
        failures = [
            provider_pb2.CheckFailure(
                property=name,
                reason=f"the emulated Azure has no setting azure-native:{name}; it knows"
                f" {', '.join(sorted(CONFIGURATION))}",
            )
            for name in unknown
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        settings = reveal(decode_map(request.args))
        if isinstance(settings.get("location"), str):
            self._location = settings["location"]
        if isinstance(settings.get("subscriptionId"), str):
            self._subscription = settings["subscriptionId"]
        await self._resume(context)
        return await super().Configure(request, context)

    async def _resume(self, context: Context) -> None:
        """After a restart of this host, make its machines again before anything else."""
        resuming = self._azure.resume()
        if resuming is None:
            return
        request = PluginRequest("", 0, self._engine)
        await request.log("info", "this host was restarted: making the machines again")
        try:
            await self._client.wait(request, resuming)
        except AzureError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, error_text(error))

    async def Check(
        self, request: provider_pb2.CheckRequest, context: Context
    ) -> provider_pb2.CheckResponse:
        native = await self._native(request.urn, context)
        olds, news = reveal(decode_map(request.olds)), without_nulls(decode_map(request.news))
        self._set_name(native, request, olds, news)
        if "location!" in native.shape and news.get("location") is None:
            location = self._default_location(olds, news)
            if location is not None:
                news["location"] = location
        news.setdefault("azureApiVersion", native.api_version)
        failures = [
            provider_pb2.CheckFailure(
                property=misfit.path, reason=f"property '{misfit.path}' {misfit.reason}"
            )
            for misfit in native.check(reveal(news))
        ]
        return provider_pb2.CheckResponse(inputs=encode_map(news), failures=failures)

    def _set_name(
        self,
        native: NativeType,
        request: provider_pb2.CheckRequest,
        olds: Properties,
        news: Properties,
    ) -> None:
        """Name a resource that the program leaves unnamed, once, and mark its inputs so."""
        name = native.name_input
        if news.get(name) is not None:
            return
        if name in olds:
            news[name] = olds[name]
            if olds.get(CREATE_BEFORE_DELETE) is True:
                news[CREATE_BEFORE_DELETE] = True
            return
        options = provider_pb2.CheckRequest.AutonamingOptions
        if request.HasField("autonaming") and request.autonaming.mode == options.Mode.DISABLE:
            return
        proposed = request.autonaming.proposed_name if request.HasField("autonaming") else ""
        news[name] = proposed or _random_name(request)
        news[CREATE_BEFORE_DELETE] = True

    def _default_location(self, olds: Properties, news: Properties) -> str | Unknown | None:
        """The resource's former location, else the configured one, else its resource group's."""
        known = olds.get("location") or self._location
        if known is not None:
            return str(known)
        group = reveal(news.get("resourceGroupName"))
        if group is None or isinstance(group, Unknown):
            return group
        try:
            found = self._azure.get(f"/subscriptions/{self._subscription}/resourceGroups/{group}")
        except AzureError:
            return None
        return str(found["location"])

    async def Diff(
        self, request: provider_pb2.DiffRequest, context: Context
    ) -> provider_pb2.DiffResponse:
        native = await self._native(request.urn, context)
        old, new = reveal(decode_map(request.old_inputs)), reveal(decode_map(request.news))
        moved = not _same_location(old.get("location"), new.get("location"))
        response = diff_response(
            (found for found in find_differences(old, new) if moved or found[0] != "location"),
            lambda name: name in native.path_names or name in native.replaces,
        )
        response.deleteBeforeReplace = (
            bool(response.replaces) and old.get(CREATE_BEFORE_DELETE) is not True
        )
        return response

    async def Create(
        self, request: provider_pb2.CreateRequest, context: Context
    ) -> provider_pb2.CreateResponse:
        native = await self._native(request.urn, context)
        inputs = decode_map(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(
                properties=encode_map(native.preview(reveal(inputs)))
            )
        inputs = reveal(inputs)
        resource_id = native.id(inputs, self._subscription)
        creation = self._plugin_request(request)
        work = self._create(creation, native, resource_id, inputs)
        outputs = await self._finish(creation, work, request.properties, context)
        return provider_pb2.CreateResponse(id=outputs["id"], properties=encode_map(outputs))

    async def _create(
        self, request: PluginRequest, native: NativeType, resource_id: str, inputs: Properties
    ) -> Properties:
        if native.initial is None and self._client.get(native, resource_id) is not None:
            raise FailedError(f"cannot create already existing resource '{resource_id}'")
        return await self._client.put(request, native, resource_id, native.body(inputs))

    async def Update(
        self, request: provider_pb2.UpdateRequest, context: Context
    ) -> provider_pb2.UpdateResponse:
        native = await self._native(request.urn, context)
        inputs = reveal(decode_map(request.news))
        if request.preview:
            old = reveal(decode_map(request.olds))
            stable = {name: old[name] for name in ("name", "location") if name in old}
            return provider_pb2.UpdateResponse(
                properties=encode_map({**native.preview(inputs), **stable})
            )
        body = native.body(inputs)
        self._maintain(native, request.id, inputs, body)
        update = self._plugin_request(request)
        work = self._client.put(update, native, request.id, body)
        outputs = await self._finish(update, work, request.news, context)
        return provider_pb2.UpdateResponse(properties=encode_map(outputs))

    def _maintain(
        self, native: NativeType, resource_id: str, inputs: Properties, body: Properties
    ) -> None:
        """Send along what the program leaves to resources of their own, so that it stays.

        Such as the subnets of a virtual network: Azure removes those that an update leaves out.
        """
        if native.maintained is None or native.maintained in inputs:
            return
        current = self._client.get(native, resource_id)
        if current is not None:
            kept = native.body(native.project(current))
            body.setdefault("properties", {})[native.maintained] = kept["properties"][
                native.maintained
            ]

    async def Delete(
        self, request: provider_pb2.DeleteRequest, context: Context
    ) -> empty_pb2.Empty:
        native = await self._native(request.urn, context)
        deletion = self._plugin_request(request)
        if native.initial is None:
            work: Any = self._client.delete(deletion, native, request.id)
        else:
            work = self._client.put(deletion, native, request.id, native.initial)
        await self._carry_out(deletion, work, context)
        return empty_pb2.Empty()

    async def Read(
        self, request: provider_pb2.ReadRequest, context: Context
    ) -> provider_pb2.ReadResponse:
        native = await self._native(request.urn, context)
        outputs = self._client.get(native, request.id)
        if outputs is None:
            return provider_pb2.ReadResponse(id="")
        if request.HasField("inputs") and request.inputs.fields:
            inputs = refresh_inputs(
                native, decode_map(request.inputs), reveal(decode_map(request.properties)), outputs
            )
        else:
            inputs = {**native.project(outputs), **native.path_inputs(request.id)}
            inputs["azureApiVersion"] = native.api_version
        return provider_pb2.ReadResponse(
            id=request.id, properties=encode_map(outputs), inputs=encode_map(inputs)
        )

    async def Invoke(
        self, request: provider_pb2.InvokeRequest, context: Context
    ) -> provider_pb2.InvokeResponse:
        arguments = reveal(decode_map(request.args))
        if request.tok == "azure-native:authorization:getClientConfig":
            found = {
                "clientId": SUBSCRIPTION,
                "objectId": SUBSCRIPTION,
                "subscriptionId": self._subscription,
                "tenantId": TENANT,
            }
            return _invoke_response(found)
        native, action = LISTS.get(request.tok, (FUNCTIONS.get(request.tok), ""))
        if native is None:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{request.tok} is not a function of the emulated Azure, which has"
                f" {', '.join(sorted(FUNCTIONS))}",
            )
            raise AssertionError("abort raises")
        try:
            resource_id = native.id(arguments, self._subscription)
            if action:
                shown = self._azure.read_secrets(resource_id, action, native.api_version)
                return _invoke_response(shown)
            expand = arguments.get("expand")
            body = self._azure.get(resource_id, native.api_version, expand=expand)
        except (AzureError, KeyError) as error:
            missing = f"missing argument {error}"
            reason = error_text(error) if isinstance(error, AzureError) else missing
            await context.abort(grpc.StatusCode.UNKNOWN, f"request failed {request.tok}: {reason}")
            raise AssertionError("abort raises") from error
        return _invoke_response(native.outputs_of(body))

    async def _native(self, urn: str, context: Context) -> NativeType:
        token = token_of(urn)
        if token not in TYPES:
            await context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"{token} is not a resource type of the emulated Azure, which has"
                f" {', '.join(sorted(TYPES))}",
            )
        return TYPES[token]

    async def _finish(
        self, request: PluginRequest, work: Any, inputs: Any, context: Context
    ) -> Properties:
        """Carry out a create or an update, and report to the engine what is half done."""
        outcome: PartialFailureError | None = None

        async def guarded() -> Properties:
            nonlocal outcome
            try:
                done: Properties = await work
            except PartialFailureError as partial:
                outcome = partial
                return {}
            return done

        outputs: Properties = await self._carry_out(request, guarded(), context)
        if outcome is not None:
            await context.abort_with_status(_partial_status(outcome, inputs))
        return outputs


class _Status(grpc.Status):
    """A gRPC status with details, in the form that `abort_with_status` takes."""

    def __init__(self, message: str, details: status_pb2.Status) -> None:
        self.code = grpc.StatusCode.UNKNOWN
        self.details = message
        self.trailing_metadata = (("grpc-status-details-bin", details.SerializeToString()),)


def _partial_status(partial: PartialFailureError, inputs: Any) -> _Status:
    failed = provider_pb2.ErrorResourceInitFailed(
        id=partial.resource_id,
        properties=encode_map(partial.outputs),
        reasons=[str(partial)],
        inputs=inputs,
    )
    packed = any_pb2.Any()
    packed.Pack(failed)
    code = grpc.StatusCode.UNKNOWN.value[0]
    return _Status(
        str(partial), status_pb2.Status(code=code, message=str(partial), details=[packed])
    )


def _invoke_response(values: Properties) -> provider_pb2.InvokeResponse:
    response = provider_pb2.InvokeResponse()
    getattr(response, "return").CopyFrom(encode_map(values))
    return response


def _random_name(request: provider_pb2.CheckRequest) -> str:
    """The resource's name and eight digits, the same for the same seed."""
    name = request.urn.rpartition("::")[2]
    seed = request.randomSeed or secrets.token_bytes(16)
    return f"{name}{hashlib.sha256(seed + name.encode()).hexdigest()[:8]}"


def _same_location(old: Any, new: Any) -> bool:
    """Whether two locations are the same: case and spaces do not matter."""
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    return old.replace(" ", "").lower() == new.replace(" ", "").lower()


if __name__ == "__main__":
    serve(AzureNative)
