"""Azure as the plugin calls it: each call waits until Azure has finished, and shows progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from emulator.azure.errors import AzureError
from emulator.azure.service import POLL, Azure
from emulator.plugins.azure_types import NativeType
from emulator.plugins.provider import FailedError, PluginRequest
from emulator.plugins.values import Properties

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
RETRIED_CONFLICTS = frozenset({"AnotherOperationInProgress", "StorageAccountOperationInProgress"})
BACKOFF = (20.0, 60.0, 120.0)
LONGEST_WAIT = 120.0
"""When azure-native repeats a request (provider/pkg/azure/client_azcore.go, and azcore's
policy_retry.go): these statuses, and these codes of a conflict, three times, after what Retry-After
tells it or else these seconds; it does not wait for a longer Retry-After."""


class PartialFailureError(FailedError):
    """The resource exists, but not as requested. The engine notes its outputs and the failure."""

    def __init__(self, reason: str, resource_id: str, outputs: Properties) -> None:
        super().__init__(reason)
        self.resource_id = resource_id
        self.outputs = outputs


class AzureClient:
    """Calls one emulated Azure for the plugin."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    def get(self, native: NativeType, resource_id: str) -> Properties | None:
        """The resource's outputs, or None if there is no such resource. Raises FailedError."""
        try:
            return native.outputs_of(self._azure.get(resource_id, native.api_version))
        except AzureError as error:
            if error.status == 404:
                return None
            raise FailedError(error_text(error)) from error

    async def put(
        self, request: PluginRequest, native: NativeType, resource_id: str, body: Properties
    ) -> Properties:
        """Create or update the resource; returns its outputs as Azure has them afterwards.

        Raises FailedError or PartialFailureError.
        """
        operation = await self._begin(
            request, resource_id, lambda: self._azure.put(resource_id, body, native.api_version)
        )
        reason = ""
        try:
            await self.wait(request, operation)
        except AzureError as error:
            reason = error_text(error)
        except asyncio.CancelledError:
            reason = "no longer waited for; Azure goes on with it"
        outputs = self.get(native, resource_id)
        if outputs is None:
            raise FailedError(reason or "it was deleted while it was being made")
        if reason:
            raise PartialFailureError(reason, resource_id, outputs)
        return outputs

    async def delete(self, request: PluginRequest, native: NativeType, resource_id: str) -> None:
        """Delete the resource, which need not exist. Raises FailedError."""
        operation = await self._begin(
            request, resource_id, lambda: self._azure.delete(resource_id, native.api_version)
        )
        try:
            await self.wait(request, operation)
        except AzureError as error:
            raise FailedError(error_text(error)) from error

    async def wait(self, request: PluginRequest, operation: str | None) -> None:
        """Wait until the operation ends; show what it does and for how long. Raises AzureError."""
        begun, shown = time.monotonic(), 0
        while (found := self._azure.poll(operation)) and found.status == "InProgress":
            elapsed = int(time.monotonic() - begun)
            if elapsed > shown:
                shown = elapsed
                doing = found.message or "waiting for Azure"
                await request.log("info", f"{doing} … {elapsed} s", passing=True)
            await asyncio.sleep(POLL)
        if found is not None:
            found.raise_error()

    async def _begin(
        self, request: PluginRequest, resource_id: str, ask: Callable[[], str | None]
    ) -> str | None:
        """Ask Azure until it accepts the request; returns the operation. Raises FailedError."""
        tries = 0
        while True:
            try:
                return ask()
            except AzureError as error:
                if error.code == "AnotherOperationInProgress" and error.retry_after is None:
                    await self._wait_for_other_operation(request, resource_id)
                    continue
                delay = retry_delay(error, tries)
                if delay is None:
                    raise FailedError(error_text(error)) from error
                wait = f"Azure answers {error.code}; the next try is in {delay:g} s"
                await request.log("info", wait, passing=True)
            await asyncio.sleep(delay)
            tries += 1

    async def _wait_for_other_operation(self, request: PluginRequest, resource_id: str) -> None:
        """Wait for what is under way on the resource."""
        await request.log("info", "waiting for another operation on it to end", passing=True)
        other = self._azure.operation(resource_id)
        if other is None or other.status != "InProgress":  # it is on the parent or the group
            await asyncio.sleep(POLL)
            return
        while (found := self._azure.poll(other.id)) and found.status == "InProgress":
            await asyncio.sleep(POLL)


def retry_delay(error: AzureError, tries: int) -> float | None:
    """How many seconds azure-native waits before it repeats a request; None: it gives up."""
    is_retried = error.status in RETRIED or error.code in RETRIED_CONFLICTS
    if not is_retried or tries == len(BACKOFF):
        return None
    delay = BACKOFF[tries] if error.retry_after is None else error.retry_after
    return delay if delay <= LONGEST_WAIT else None


def error_text(error: AzureError) -> str:
    """Azure's error as the official provider shows it."""
    target = f' Target="{error.target}"' if error.target else ""
    return f'Status={error.status} Code="{error.code}" Message="{error.message}"{target}'
