"""A mirror on this machine that serves a real tree, with a fault for the first requests.

It is strict: it knows only the faults below, and it serves only what the tree has.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from emulator.host.mirrors import Mirror

# What happens to a file that is requested. Without a server, the connection is refused.
FAULTS = ("cut", "stalled", "endless", "wrong", "gone")
_BLOCK = 1 << 16


@dataclass
class FaultyMirror:
    """Serves `folder`; the first `times` requests of a path that matches `path` have `fault`.

    Attributes:
        port: of 127.0.0.1; the mirror keeps it when it is started again.
        requests: each path that was requested, with the header Range.
        sent: bytes of bodies with a fault.
    """

    folder: Path
    fault: str = ""
    path: str = ""
    times: int = 0
    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0

    def fail(self, fault: str, path: str, times: int = 1_000_000) -> None:
        """From now on, the next `times` requests of a path like `path` have the fault."""
        assert fault in FAULTS, fault
        self.fault, self.path, self.times = fault, path, times

    def work(self) -> None:
        """No request has a fault any more."""
        self.times = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The server; before and after, a connection to its port is refused."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        application = Mirror(self.folder).application()
        application.middlewares.append(self._with_fault())
        # Those that wait for a client that does not leave end with the server.
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        asyncio.run_coroutine_threadsafe(self._start(runner), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(_stop(runner), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _start(self, runner: web.AppRunner) -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self.tls, reuse_address=True)
        await site.start()
        self.port = int(runner.addresses[0][1])

    def _with_fault(self) -> Middleware:
        @web.middleware
        async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.requests.append((request.path, request.headers.get("Range")))
            response = await handler(request)
            if not (self.times > 0 and re.search(self.path, request.path)):
                return response
            if request.method == "GET":
                self.times -= 1
            return await self._fail(request, response)

        return serve

    async def _fail(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        if self.fault == "gone":
            raise web.HTTPServiceUnavailable
        status, content = _part(request, _content(request, response, self.folder))
        if self.fault == "wrong":
            content = bytes(byte ^ 1 for byte in content)
        faulty = web.StreamResponse(status=status, headers=response.headers)
        whole = content[: len(content) // 2] if self.fault in ("cut", "stalled") else content
        faulty.headers["Content-Length"] = str(len(content))
        if status == 206:
            faulty.headers["Content-Range"] = f"bytes {request.http_range.start}-/*"
        if self.fault == "endless":
            del faulty.headers["Content-Length"]
        await faulty.prepare(request)
        if request.method == "HEAD":
            return faulty
        self.sent += len(whole)
        await faulty.write(whole)
        if self.fault == "endless":
            with suppress(ConnectionError):
                while True:
                    await faulty.write(bytes(_BLOCK))
                    self.sent += _BLOCK
        if self.fault == "stalled":
            await asyncio.Event().wait()
        if self.fault == "cut" and request.transport:
            request.transport.close()
        return faulty


def publish(folder: Path, tag: str, layer_type: str, *layers: bytes) -> list[str]:
    """Write an image or a model for a registry to `folder`; returns the digests of its blobs."""

    def write(name: str, content: bytes) -> None:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        write(f"blobs/{digest}", content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    listed = [blob(layer, layer_type) for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "model_format": "gguf",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in listed]},
    }
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": blob(
            json.dumps(config).encode(), "application/vnd.docker.container.image.v1+json"
        ),
        "layers": listed,
    }
    write(f"manifests/{tag}", json.dumps(manifest).encode())
    write(f"manifests/{tag}.type", kind.encode())
    return [each["digest"] for each in (*listed, manifest["config"])]


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def _content(request: web.Request, response: web.StreamResponse, folder: Path) -> bytes:
    if isinstance(response, web.FileResponse):
        return (folder / request.path.lstrip("/")).read_bytes()
    assert isinstance(response, web.Response) and isinstance(response.body, bytes)
    return response.body


def _part(request: web.Request, content: bytes) -> tuple[int, bytes]:
    """The status and the bytes that the header Range names."""
    if "Range" not in request.headers:
        return 200, content
    wanted = request.http_range
    part = content[wanted.start : wanted.stop]
    return (206, part) if part else (416, b"")
