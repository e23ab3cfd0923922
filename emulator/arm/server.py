"""The HTTPS server of one emulated Azure, on loopback only.

    python -m emulator.arm.server HOME

It ends by itself when its instance's folder is removed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler as HttpHandler

from emulator.arm import operations, queries, resources, subscriptions, tags, vaults
from emulator.arm.account import ADDRESS, Account
from emulator.arm.calls import Answer, Call, Routes
from emulator.arm.sign_in import EntraEndpoints
from emulator.azure.errors import AzureError
from emulator.azure.kinds import new_guid
from emulator.azure.service import Azure
from emulator.azure.store import Body
from emulator.host.places import Places, replace_text
from emulator.host.processes import Processes
from emulator.instance import Instance

LARGEST_BODY = 4 * 2**20
"""Bytes; ARM accepts no more."""

_HELPER = "arm"
_JSON = ("application/json", "application/merge-patch+json")
_THREADS = 32
_LOOK_SECONDS = 1.0


def ensure(instance: Instance) -> Account:
    """Start the server of an instance unless it runs; returns how to sign in.

    Raises FabricError.
    """
    account = Account(instance)
    account.prepare()
    server = [sys.executable, "-m", "emulator.arm.server", str(instance.home)]
    Processes(Places(instance)).ensure(_HELPER, server, ready=lambda: _listens(account))
    return account


def _listens(account: Account) -> bool:
    try:
        with socket.create_connection((ADDRESS, int(account.port_file.read_text())), 1):
            return True
    except (OSError, ValueError):
        return False


class Server:
    """Azure Resource Manager, and the sign-in to it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._azure = Azure(account.instance)
        self._sign_in = EntraEndpoints(account)
        self._threads = ThreadPoolExecutor(_THREADS, "request")
        self._routes = Routes()
        for part in (operations, subscriptions, queries, tags, vaults, resources):
            part.add_routes(self._routes)

    def application(self) -> web.Application:
        app = web.Application(
            client_max_size=LARGEST_BODY, middlewares=[_with_ids, _with_errors, self._of_this_host]
        )
        self._sign_in.add_routes(app)
        app.router.add_route("*", "/{path:.*}", self._manage)
        return app

    @web.middleware
    async def _of_this_host(self, request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        """Refuse other host names: a page in a browser could have been made to name this server."""
        if f"https://{request.host}" != self._account.url:
            raise AzureError("BadRequest", "The request hostname is invalid.")
        return await handler(request)

    async def _manage(self, request: web.Request) -> web.Response:
        self._sign_in.check(request.headers.get("Authorization"))
        call = Call(
            method=request.method,
            path="/" + request.path.strip("/"),
            query={name.lower(): value for name, value in request.query.items()},
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await _read_body(request),
            azure=self._azure,
            url=self._account.url,
        )
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._answer, call)
        if answer.body is None:
            return web.Response(status=answer.status, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)

    def _answer(self, call: Call) -> Answer:
        handler, words = self._routes.find(call.method, call.path)
        return handler(replace(call, words=words))


async def _read_body(request: web.Request) -> Body:
    """The JSON object that a request carries. Raises AzureError."""
    try:
        content = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise AzureError(
            "RequestContentTooLarge",
            f"The request content size exceeds the maximum size of '{LARGEST_BODY}' bytes.",
            status=413,
        ) from error
    if not content:
        if request.method in ("PUT", "PATCH"):
            raise AzureError(
                "InvalidRequestContent", "The request content was invalid: it is empty."
            )
        return {}
    if request.content_type not in _JSON:
        raise AzureError(
            "UnsupportedMediaType",
            f"The content media type '{request.content_type}' is not supported. Only"
            " 'application/json' is supported.",
            status=415,
        )
    try:
        body = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise AzureError(
            "InvalidRequestContent",
            f"The request content was invalid and could not be deserialized: '{error}'.",
        ) from error
    if not isinstance(body, dict):
        raise AzureError(
            "InvalidRequestContent",
            "The request content was invalid and could not be deserialized: it must be an object.",
        )
    return body


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@web.middleware
async def _with_ids(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
    """Give the response the headers by which Azure's support finds a request."""
    response = await handler(request)
    id_ = new_guid()
    response.headers["x-ms-request-id"] = id_
    response.headers["x-ms-correlation-request-id"] = (
        request.headers.get("x-ms-correlation-request-id") or id_
    )
    if own := request.headers.get("x-ms-client-request-id"):
        response.headers["x-ms-client-request-id"] = own
    response.headers["Cache-Control"] = "no-store"
    return response


@web.middleware
async def _with_errors(request: web.Request, handler: HttpHandler) -> web.StreamResponse:
    """Answer errors in ARM's form."""
    try:
        return await handler(request)
    except AzureError as error:
        return _error(error)
    except web.HTTPException as error:
        code = {404: "NotFound", 405: "MethodNotAllowed", 413: "RequestContentTooLarge"}
        return _error(
            AzureError(code.get(error.status, "BadRequest"), error.reason, status=error.status)
        )
    except Exception:
        traceback.print_exc()
        return _error(
            AzureError("InternalServerError", "Encountered internal server error.", status=500)
        )


def _error(error: AzureError) -> web.Response:
    headers = {"x-ms-error-code": error.code}
    if error.retry_after is not None or error.status == 429:
        headers["Retry-After"] = f"{error.retry_after or 1:g}"
    if error.status == 401:
        headers["WWW-Authenticate"] = f'Bearer error="invalid_token", error_code="{error.code}"'
    return web.json_response(error.body(), status=error.status, headers=headers)


def _bind(account: Account) -> socket.socket:
    """Listen on the port of the former run, or on another one if that is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, int(account.port_file.read_text())))
    except (OSError, ValueError):
        listener.bind((ADDRESS, 0))
        replace_text(account.port_file, str(listener.getsockname()[1]))
    return listener


async def _serve(account: Account) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(*account.certificate)
    # To standard error, which the instance keeps: what clients asked, and the status of the answer.
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    runner = web.AppRunner(Server(account).application(), access_log_format="%r %s")
    listener = _bind(account)
    await runner.setup()
    await web.SockSite(runner, listener, ssl_context=tls, backlog=512).start()
    while account.credentials_file.exists():
        await asyncio.sleep(_LOOK_SECONDS)
    await runner.cleanup()


def main(home: str) -> None:
    """Serve the instance at `home` until it is removed."""
    account = Account(Instance.open(Path(home)))
    account.prepare()
    asyncio.run(_serve(account))


if __name__ == "__main__":
    main(sys.argv[1])
