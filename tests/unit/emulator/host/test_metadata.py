"""The metadata service gives a machine tokens of its own identities, and of no others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from emulator.azure.store import LongRunningOperation
from emulator.azure.worker import resources_after
from emulator.host.metadata import MetadataService, Resources, identities_at
from emulator.host.tokens import Directory
from tests.unit.emulator.azure.cloud import IDENTITIES, IDENTITY, NET, NIC, VM, Cloud

TOKEN = "/metadata/identity/oauth2/token"
QUERY = {"api-version": "2018-02-01", "resource": "https://storage.azure.com"}
HEADERS = {"Metadata": "true"}
OTHER = f"{IDENTITIES}/other"


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """A machine with an identity, which sends its requests from 127.0.0.1."""
    cloud = Cloud(tmp_path).fill()
    cloud.add_backups()
    give(cloud, IDENTITY)
    with cloud.azure.store.change() as state:
        (configuration,) = state.resources[NIC.lower()]["properties"]["ipConfigurations"]
        configuration["properties"]["privateIPAddress"] = "127.0.0.1"
    return cloud


def give(cloud: Cloud, *identities: str) -> None:
    wanted = {"type": "UserAssigned", "userAssignedIdentities": {each: {} for each in identities}}
    cloud.change(VM, "identity", wanted if identities else {"type": "None"})


def resources_of(cloud: Cloud) -> Resources:
    """The resources as the host gets them."""
    return resources_after(cloud.azure.store.read(), LongRunningOperation("", "put", ""))


def ask(
    cloud: Cloud,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    network: str = NET,
) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    directory = Directory(cloud.azure.folder / "directory.pem")
    service = MetadataService(lambda: resources_of(cloud), network.lower(), directory)

    async def send() -> tuple[int, Any]:
        async with TestClient(TestServer(service.application())) as client:
            answer = await client.get(
                TOKEN,
                params=QUERY if query is None else query,
                headers=HEADERS if headers is None else headers,
            )
            return answer.status, await answer.json()

    return asyncio.run(send())


def test_a_machine_gets_a_token_of_its_identity(cloud: Cloud) -> None:
    status, answer = ask(cloud)
    assert status == 200
    properties = cloud.azure.get(IDENTITY)["properties"]
    claims = Directory(cloud.azure.folder / "directory.pem").verify(answer["access_token"])
    assert claims["oid"] == properties["principalId"]
    assert answer["client_id"] == properties["clientId"]
    assert answer["token_type"] == "Bearer"
    assert all(isinstance(value, str) for value in answer.values()), "also the numbers"


@pytest.mark.parametrize(
    ("query", "headers", "error", "description"),
    [
        (QUERY, {}, "invalid_request", "Required metadata header not specified"),
        (QUERY, {**HEADERS, "X-Forwarded-For": "1.2.3.4"}, "invalid_request", "X-Forwarded-For"),
        ({"resource": QUERY["resource"]}, HEADERS, "invalid_request", "api-version"),
        ({"api-version": "2018-02-01"}, HEADERS, "invalid_resource", "was not found"),
        ({**QUERY, "resource": "https://x.test"}, HEADERS, "invalid_resource", "x.test"),
        ({**QUERY, "client_id": "other"}, HEADERS, "invalid_request", "Identity not found"),
    ],
)
def test_a_request_that_azure_refuses(
    cloud: Cloud, query: dict[str, str], headers: dict[str, str], error: str, description: str
) -> None:
    status, answer = ask(cloud, query, headers)
    assert (status, answer["error"]) == (400, error)
    assert description in answer["error_description"]


def test_of_two_identities_the_request_names_one(cloud: Cloud) -> None:
    cloud.put(OTHER, {"location": "francecentral"})
    give(cloud, IDENTITY, OTHER)
    with cloud.azure.store.change() as state:
        (configuration,) = state.resources[NIC.lower()]["properties"]["ipConfigurations"]
        configuration["properties"]["privateIPAddress"] = "127.0.0.1"
    status, answer = ask(cloud)
    assert (status, answer["error"]) == (400, "invalid_request")
    assert answer["error_description"].startswith("Multiple user assigned identities exist")
    client = cloud.azure.get(OTHER)["properties"]["clientId"]
    status, answer = ask(cloud, {**QUERY, "client_id": client})
    assert (status, answer["client_id"]) == (200, client)


def test_no_identity_no_token(cloud: Cloud) -> None:
    cloud.delete(IDENTITY)
    assert ask(cloud)[1]["error_description"] == "Identity not found"


def test_a_machine_is_known_by_its_network_and_address(cloud: Cloud) -> None:
    resources = resources_of(cloud)
    assert [each.resource_id for each in identities_at(resources, NET.lower(), "127.0.0.1")]
    assert not list(identities_at(resources, NET.lower(), "10.0.0.5"))
    assert not list(identities_at(resources, f"{NET.lower()}2", "127.0.0.1"))
