"""Requests for blobs: what Azure refuses never reaches Azurite."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from emulator.azure.roles import BLOB_READER
from emulator.host.blobs import BlobFront, internal_account
from emulator.host.tokens import Directory, Identity
from tests.unit.emulator.azure.cloud import (
    ACCESS,
    ACCOUNT,
    CONTAINER,
    CONTRIBUTOR,
    STORAGE_ACCOUNT,
    Cloud,
    assignment,
)

NAME = ACCOUNT.rpartition("/")[2]
HOST = f"{NAME}.blob.core.windows.net"
STORAGE = "https://storage.azure.com"
BLOB = "/backups/data/0f"


class Upstream:
    """Takes the place of Azurite and records what reaches it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.hosts: set[str] = set()
        self.headers: set[str] = set()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path_qs))
        self.hosts.add(request.host)
        self.headers |= {name.lower() for name in request.headers}
        made = {"x-ms-meta-made": "an earlier container"} if request.method == "HEAD" else {}
        return web.Response(body=await request.read(), headers=made)


class Blobs:
    """The front of one emulated Azure."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud = cloud
        self.principal = cloud.add_backups()
        self.directory = Directory(folder / "directory.pem")
        self.upstream = Upstream()

    def token(self, principal: str | None = None, audience: str = STORAGE) -> dict[str, str]:
        identity = Identity("machine", principal or self.principal, "client")
        return {"Authorization": f"Bearer {self.directory.issue(identity, audience)[0]}"}

    def send(
        self, method: str, path: str, headers: dict[str, str], host: str = HOST, data: Any = None
    ) -> tuple[int, str]:
        """The status, and the code of a refusal or else the body."""

        async def exchange() -> tuple[int, str]:
            async with TestServer(self.upstream.application()) as server:
                front = BlobFront(
                    lambda: self.cloud.azure.store.read().resources,
                    self.directory,
                    ssl.create_default_context(),
                    str(server.make_url("")).rstrip("/"),
                )
                async with TestClient(TestServer(front.application())) as client:
                    answer = await client.request(
                        method, path, headers={**headers, "Host": host}, data=data
                    )
                    code = answer.headers.get("x-ms-error-code")
                    return answer.status, code or await answer.text()

        return asyncio.run(exchange())


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(Cloud(tmp_path).fill(), tmp_path)


def test_the_machine_reads_and_writes_its_container(blobs: Blobs) -> None:
    assert blobs.send("PUT", BLOB, blobs.token(), data=b"chunk") == (200, "chunk")
    assert ("PUT", BLOB) in blobs.upstream.requests
    account = internal_account(blobs.cloud.azure.get(ACCOUNT))
    assert blobs.upstream.hosts == {f"{account}.blob.core.windows.net"}
    assert blobs.send("GET", BLOB, blobs.token(audience=f"https://{HOST}/"))[0] == 200


def test_an_empty_header_is_left_out(blobs: Blobs) -> None:
    """restic sends one that Azure ignores and Azurite refuses."""
    headers = {**blobs.token(), "x-ms-access-tier": "", "x-ms-blob-type": "BlockBlob"}
    assert blobs.send("PUT", BLOB, headers, data=b"chunk")[0] == 200
    assert "x-ms-blob-type" in blobs.upstream.headers
    assert "x-ms-access-tier" not in blobs.upstream.headers


def test_a_container_that_was_made_again_is_empty(blobs: Blobs) -> None:
    blobs.send("GET", BLOB, blobs.token())
    query = "/backups?restype=container"
    assert blobs.upstream.requests[:3] == [("HEAD", query), ("DELETE", query), ("PUT", query)]


def test_an_account_that_was_made_again_is_another_one(blobs: Blobs) -> None:
    account = blobs.cloud.azure.get(ACCOUNT)
    later = {**account["properties"], "creationTime": "2030-01-01T00:00:00+00:00"}
    assert internal_account(account) != internal_account({**account, "properties": later})


def refused(blobs: Blobs, *request: Any, **more: Any) -> tuple[int, str]:
    """The refusal of a request that does not reach Azurite."""
    status, code = blobs.send(*request, **more)
    assert blobs.upstream.requests == []
    return status, code


def test_without_a_role_nothing_is_allowed(blobs: Blobs) -> None:
    stranger = blobs.token("11111111-0000-0000-0000-000000000000")
    mismatch = (403, "AuthorizationPermissionMismatch")
    assert refused(blobs, "GET", BLOB, stranger) == mismatch
    blobs.cloud.delete(ACCESS)
    assert refused(blobs, "GET", BLOB, blobs.token()) == mismatch


def test_the_role_is_for_its_container_only(blobs: Blobs) -> None:
    blobs.cloud.put(CONTAINER.replace("/backups", "/backups-2"), {})
    for path in ("/backups-2/data", "/?comp=list"):
        answer = refused(blobs, "GET", path, blobs.token())
        assert answer == (403, "AuthorizationPermissionMismatch")


def test_a_reader_changes_nothing(blobs: Blobs) -> None:
    blobs.cloud.delete(ACCESS)
    role = f"{CONTRIBUTOR.rpartition('/')[0]}/{BLOB_READER}"
    blobs.cloud.put(ACCESS, assignment(blobs.principal, roleDefinitionId=role))
    for method in ("PUT", "DELETE"):
        answer = refused(blobs, method, BLOB, blobs.token())
        assert answer == (403, "AuthorizationPermissionMismatch")
    assert blobs.send("GET", BLOB, blobs.token())[0] == 200


def test_keys_and_anonymous_requests_are_refused(blobs: Blobs) -> None:
    key = {"Authorization": f"SharedKey {NAME}:c2lnbmF0dXJl"}
    by_key = (403, "KeyBasedAuthenticationNotPermitted")
    assert refused(blobs, "GET", BLOB, key) == by_key
    assert refused(blobs, "GET", f"{BLOB}?sig=c2ln", {}) == by_key
    assert refused(blobs, "GET", BLOB, {}) == (409, "PublicAccessNotPermitted")


def test_keys_are_not_emulated_where_azure_would_accept_them(blobs: Blobs) -> None:
    allowed = {**STORAGE_ACCOUNT, "properties": {"allowSharedKeyAccess": True}}
    blobs.cloud.put(ACCOUNT, allowed)
    key = {"Authorization": f"SharedKey {NAME}:c2lnbmF0dXJl"}
    assert refused(blobs, "GET", BLOB, key) == (501, "NotEmulated")


def test_a_token_that_is_not_for_this_account_is_refused(blobs: Blobs) -> None:
    invalid = (401, "InvalidAuthenticationInfo")
    for audience in ("https://management.azure.com/", "https://other.blob.core.windows.net"):
        assert refused(blobs, "GET", BLOB, blobs.token(audience=audience)) == invalid
    assert refused(blobs, "GET", BLOB, {"Authorization": "Bearer a.b.c"}) == invalid


def test_what_does_not_exist(blobs: Blobs) -> None:
    blobs.cloud.put(
        f"{ACCOUNT}/{ACCESS.partition(f'{CONTAINER}/')[2]}", assignment(blobs.principal)
    )
    assert refused(blobs, "GET", "/none/data", blobs.token()) == (404, "ContainerNotFound")
    other = refused(blobs, "GET", BLOB, blobs.token(), host="other.blob.core.windows.net")
    assert other == (404, "ResourceNotFound")
