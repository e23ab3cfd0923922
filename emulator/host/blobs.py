"""The blob service of all storage accounts, as machines of one virtual network reach it.

    python -m emulator.host.blobs HOME ADDRESS PORT NAMESPACE

Azurite has the blobs. It does not know who may use them, and verifies no signature of a token. So
every request comes here first, and what Azure would refuse gets no further.

Each network has such a server: it listens there, and reaches Azurite in NAMESPACE.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web

from emulator.azure.names import ROLE_ASSIGNMENT, STORAGE_ACCOUNT
from emulator.azure.roles import BLOB_CONTRIBUTOR, BLOB_OWNER, BLOB_READER, role_of
from emulator.azure.storage import BLOB_DOMAIN
from emulator.host.metadata import STORAGE, read_resources
from emulator.host.places import Places
from emulator.host.tokens import Directory, Identity, InvalidTokenError
from emulator.instance import Instance

AZURITE = "https://127.0.0.1:10000"
Resources = Mapping[str, Mapping[str, Any]]
WRITERS = frozenset({BLOB_OWNER, BLOB_CONTRIBUTOR})
_API_VERSION = "2021-12-02"
_OWN = Identity("the emulator", "the-emulator", "the-emulator")
# Of one connection, not of the message.
_OF_HOP = frozenset({"connection", "expect", "host", "keep-alive", "transfer-encoding"})


class RefusedBlobRequestError(Exception):
    """Azure's refusal of a request: a status, a code, a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> web.Response:
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{self.code}</Code>'
            f"<Message>{escape(str(self))}</Message></Error>"
        )
        return web.Response(
            status=self.status,
            text=text,
            content_type="application/xml",
            headers={"x-ms-error-code": self.code},
        )


def internal_account(account: Mapping[str, Any]) -> str:
    """The account's name in Azurite: a new account with a former name has none of its blobs."""
    key = f"{account['id']} {account['properties']['creationTime']}".lower()
    return f"a{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def accounts_of(resources: Resources) -> dict[str, Mapping[str, Any]]:
    """The storage accounts by name."""
    return {body["name"]: body for body in resources.values() if body["type"] == STORAGE_ACCOUNT}


def check_request(
    resources: Resources, directory: Directory, request: web.Request
) -> Mapping[str, Any]:
    """The account that a request may use as it wants to. Raises RefusedBlobRequestError."""
    account = accounts_of(resources).get((request.host or "").partition(".")[0])
    if account is None:
        raise RefusedBlobRequestError(
            404, "ResourceNotFound", "The specified account does not exist."
        )
    principal = _principal(account, directory, request)
    container = request.path.split("/")[1]
    scope = f"{account['id']}/blobServices/default/containers/{container}" if container else ""
    scope = (scope or account["id"]).lower()
    roles = {
        role_of(body["properties"])
        for body in resources.values()
        if body["type"] == ROLE_ASSIGNMENT
        and body["properties"]["principalId"] == principal
        and f"{scope}/".startswith(f"{body['properties']['scope'].lower()}/")
    }
    reads = request.method in ("GET", "HEAD")
    if not roles & (WRITERS | {BLOB_READER} if reads else WRITERS):
        raise RefusedBlobRequestError(
            403,
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
        )
    if container and scope not in resources:
        raise RefusedBlobRequestError(
            404, "ContainerNotFound", "The specified container does not exist."
        )
    return account


def _principal(account: Mapping[str, Any], directory: Directory, request: web.Request) -> str:
    """The principal that sends a request. Raises RefusedBlobRequestError."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "sharedkey" or "sig" in request.query:
        if account["properties"]["allowSharedKeyAccess"]:
            raise RefusedBlobRequestError(501, "NotEmulated", "The emulated accounts have no keys.")
        raise RefusedBlobRequestError(
            403,
            "KeyBasedAuthenticationNotPermitted",
            "Key based authentication is not permitted on this storage account.",
        )
    if scheme.lower() != "bearer":
        raise RefusedBlobRequestError(
            409,
            "PublicAccessNotPermitted",
            "Public access is not permitted on this storage account.",
        )
    try:
        claims = directory.verify(credential.strip())
    except InvalidTokenError as error:
        raise _unauthenticated() from error
    if claims["aud"].rstrip("/") not in (STORAGE, f"https://{account['name']}.{BLOB_DOMAIN}"):
        raise _unauthenticated()
    principal: str = claims["oid"]
    return principal


def _unauthenticated() -> RefusedBlobRequestError:
    return RefusedBlobRequestError(
        401,
        "InvalidAuthenticationInfo",
        "Server failed to authenticate the request. Please refer to the information in the"
        " www-authenticate header.",
    )


class BlobFront:
    """Checks requests and passes them on to Azurite at `upstream`."""

    def __init__(
        self,
        read: Callable[[], Resources],
        directory: Directory,
        tls: ssl.SSLContext,
        upstream: str = AZURITE,
    ) -> None:
        self._read = read
        self._directory = directory
        self._tls = tls
        self._upstream = upstream
        self._ready: dict[str, str] = {}

    def application(self) -> web.Application:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.cleanup_ctx.append(self._client_session)
        return app

    async def _client_session(self, _: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, skip_auto_headers=("User-Agent",)
        ) as self._client:
            yield

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        resources = self._read()
        try:
            account = check_request(resources, self._directory, request)
        except RefusedBlobRequestError as refused:
            return refused.response()
        await self._prepare_container(resources, account, request.path.split("/")[1])
        headers = {
            name: value
            for name, value in request.headers.items()
            # restic sends an empty x-ms-access-tier, which Azure ignores and Azurite refuses.
            if name.lower() not in _OF_HOP and value
        }
        async with self._client.request(
            request.method,
            f"{self._upstream}{request.raw_path}",
            headers={**headers, **self._headers(account)},
            data=request.content if request.can_read_body else None,
            server_hostname=f"{internal_account(account)}.{BLOB_DOMAIN}",
            allow_redirects=False,
        ) as upstream:
            response = web.StreamResponse(
                status=upstream.status,
                headers=[(k, v) for k, v in upstream.headers.items() if k.lower() not in _OF_HOP],
            )
            await response.prepare(request)
            async for chunk in upstream.content.iter_chunked(1 << 16):
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _prepare_container(
        self, resources: Resources, account: Mapping[str, Any], name: str
    ) -> None:
        """Create in Azurite the container that Azure has, and empty that of an earlier one."""
        if not name:
            return
        id_ = f"{account['id']}/blobServices/default/containers/{name}".lower()
        body = resources[id_]
        made = hashlib.sha256(body["properties"]["lastModifiedTime"].encode()).hexdigest()[:12]
        if self._ready.get(id_) == made:
            return
        options: dict[str, Any] = {
            "server_hostname": f"{internal_account(account)}.{BLOB_DOMAIN}",
            "headers": {
                "x-ms-version": _API_VERSION,
                "x-ms-meta-made": made,
                **self._headers(account),
            },
        }
        url = f"{self._upstream}/{name}?restype=container"
        async with self._client.head(url, **options) as found:
            status, former = found.status, found.headers.get("x-ms-meta-made")
        if status == 200 and former != made:
            async with self._client.delete(url, **options):
                status = 404
        if status == 404:
            async with self._client.put(url, **options) as created:
                created.raise_for_status()
        self._ready[id_] = made

    def _headers(self, account: Mapping[str, Any]) -> dict[str, str]:
        """For Azurite: its own name of the account, and a token that it accepts for all of them."""
        token, _ = self._directory.issue(_OWN, STORAGE)
        host = f"{internal_account(account)}.{BLOB_DOMAIN}"
        return {"Host": host, "Authorization": f"Bearer {token}"}


def main() -> None:
    home, *place = sys.argv[1:]
    if len(place) > 1:
        _listen_here_and_go_to_azurite(home, *place)
    places = Places(Instance.open(Path(home)))
    certificates = places.state / "blobs"
    trust = ssl.create_default_context(cafile=str(certificates / "authority.pem"))
    serve = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serve.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    directory = Directory(places.directory_key)
    front = BlobFront(lambda: read_resources(places), directory, trust)
    listening = socket.socket(fileno=int(place[0]))
    web.run_app(front.application(), sock=listening, ssl_context=serve, print=None)


def _listen_here_and_go_to_azurite(home: str, address: str, port: str, namespace: str) -> NoReturn:
    """Start again in Azurite's namespace, with a socket that listens in the present one."""
    listening = socket.create_server((address, int(port)))
    listening.set_inheritable(True)
    again = [sys.executable, "-m", "emulator.host.blobs", home, str(listening.fileno())]
    enter = ["nsenter", f"--net=/run/netns/{namespace}", *again]
    os.execvp("nsenter", enter)  # noqa: S606 -- it needs no shell


if __name__ == "__main__":
    main()
