"""Azure Resource Manager over HTTPS: what a client sees that is not ours."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.arm import server
from emulator.azure.fabric import NullFabric
from emulator.azure.faults import Fault, Faults
from emulator.azure.service import Azure
from emulator.host.commands import wait_until
from emulator.host.places import Places
from emulator.host.processes import Processes
from emulator.host.tokens import Directory
from tests.unit.emulator.arm.client import (
    NETWORK,
    SUBSCRIPTION_ID,
    VERSION,
    Client,
    code_of,
    served,
)
from tests.unit.emulator.azure.cloud import BODIES, IP, NET, NSG, VM, rule

LOCATION = {"location": "francecentral"}
CHAT = "/resourceGroups/chat"
COMPUTE = f"{CHAT}/providers/Microsoft.Compute"
FORM = "application/x-www-form-urlencoded"
RULES = f"{NSG.removeprefix(SUBSCRIPTION_ID)}/securityRules"
MACHINE = VM.removeprefix(SUBSCRIPTION_ID)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of an Azure with everything that the program creates."""
    with served(tmp_path_factory.mktemp("arm") / "instance") as account:
        azure = Azure(account.instance, NullFabric())
        for resource_id, body in BODIES.items():
            azure.wait(azure.put(resource_id, body))
        yield Client(account)


# Signing in


def test_the_endpoints_are_this_server_and_no_other_is_named(client: Client) -> None:
    url = client.account.url
    found = client.http.get("/metadata/endpoints", params={"api-version": "2022-09-01"}).json()
    assert found["resourceManager"] == found["authentication"]["loginEndpoint"] == url
    assert found["authentication"]["audiences"] == [url]
    openid = client.http.get("/common/v2.0/.well-known/openid-configuration").json()
    assert openid["token_endpoint"] == f"{url}/common/oauth2/v2.0/token"
    assert client.http.get("/common/discovery/instance").is_success
    for text in (json.dumps(found), json.dumps(openid)):
        others = text.replace(url, "").replace("emulated-azure.invalid", "")
        assert ".com" not in others, "a client that follows it would leave this machine"


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        ({"client_secret": "wrong"}, "invalid_client", 7000215),
        ({"client_secret": ""}, "invalid_client", 7000215),
        ({"client_id": "0" * 8}, "unauthorized_client", 700016),
        ({"grant_type": "password"}, "unsupported_grant_type", 70003),
        ({"scope": "openid"}, "invalid_scope", 1002012),
        ({"scope": "https://vault.azure.net/.default"}, "invalid_resource", 500011),
        ({"tenant": "contoso"}, "invalid_tenant", 90002),
    ],
)
def test_a_refused_sign_in(
    client: Client, changes: dict[str, str], error: str, number: int
) -> None:
    answer = client.sign_in(**changes)
    assert answer.status_code == (401 if error == "invalid_client" else 400)
    body = answer.json()
    assert (body["error"], body["error_codes"]) == (error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert client.account.credentials.clientSecret not in answer.text


def test_no_request_without_a_token_of_this_instance(client: Client, tmp_path: Path) -> None:
    path = f"{SUBSCRIPTION_ID}{CHAT}"
    assert code_of(client.http.get(path)) == "AuthenticationFailed"
    known = client.account.principal
    foreign, _ = Directory(tmp_path / "key.pem").issue(known, client.account.url)
    elsewhere, _ = client.account.directory.issue(known, "https://storage.azure.com")
    for token, code in (
        ("Bearer nonsense", "InvalidAuthenticationToken"),
        ("Bearer é", "InvalidAuthenticationToken"),
        (f"Basic {client.token}", "InvalidAuthenticationToken"),
        (f"Bearer {foreign}", "InvalidAuthenticationToken"),
        (f"Bearer {elsewhere}", "InvalidAuthenticationTokenAudience"),
    ):
        headers = {b"Authorization": token.encode()}
        answer = client.http.get(path, headers=httpx.Headers(list(headers.items())))
        assert (answer.status_code, code_of(answer)) == (401, code)
        assert "WWW-Authenticate" in answer.headers


def test_the_directory_tells_a_service_principal_nothing(client: Client) -> None:
    graph = f"{client.account.url}/graph"
    path = "/graph/v1.0/directoryObjects/getByIds"
    token = client.sign_in(scope=f"{graph}/.default").json()["access_token"]
    for wrong in ({}, {"Authorization": f"Bearer {client.token}"}):
        assert client.http.post(path, json={}, headers=wrong).status_code == 401
    answer = client.http.post(path, json={}, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, code_of(answer)) == (403, "Authorization_RequestDenied")
    refused = client.http.get(
        f"{SUBSCRIPTION_ID}{CHAT}", headers={"Authorization": f"Bearer {token}"}
    )
    assert code_of(refused) == "InvalidAuthenticationTokenAudience"


def test_only_the_owner_reads_the_credentials(client: Client) -> None:
    account = client.account
    for file in (account.credentials_file, account.certificate[1]):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(account.folder.stat().st_mode) == 0o700
    log = Processes(Places(account.instance)).log("arm").read_text()
    assert account.credentials.clientSecret not in log


# Requests that no client of Microsoft's sends


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "InvalidRequestContent"),
        (b"", "application/json", 400, "InvalidRequestContent"),
        (b"[]", "application/json", 400, "InvalidRequestContent"),
        (b'"text"', "application/json", 400, "InvalidRequestContent"),
        (b'{"location": NaN}', "application/json", 400, "InvalidRequestContent"),
        (b'{"location": 1}', "application/json", 400, "InvalidRequestContent"),
        (b'{"location": "\xff"}', "application/json", 400, "InvalidRequestContent"),
        (b"[" * 100_000, "application/json", 400, "InvalidRequestContent"),
        (b'{"n": ' + b"1" * 5000 + b"}", "application/json", 400, "InvalidRequestContent"),
        (b"location=francecentral", FORM, 415, "UnsupportedMediaType"),
        (b" " * (4 * 2**20 + 1), "application/json", 413, "RequestContentTooLarge"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else str(value),
)
def test_a_body_that_is_not_a_resource(
    client: Client, content: bytes, content_type: str, status: int, code: str
) -> None:
    answer = client.http.put(
        f"{SUBSCRIPTION_ID}/resourceGroups/never",
        params={"api-version": VERSION},
        content=content,
        headers={"Authorization": f"Bearer {client.token}", "Content-Type": content_type},
    )
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert client.send("GET", "/resourceGroups/never").status_code == 404


def test_another_host_name_is_refused(client: Client) -> None:
    answer = client.send("GET", CHAT, headers={"Host": "attacker.example"})
    assert (answer.status_code, code_of(answer)) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("request_line", "version", "status", "code"),
    [
        (f"GET {CHAT}", None, 400, "MissingApiVersionParameter"),
        (f"GET {CHAT}", "1999-01-01", 400, "NoRegisteredProviderFound"),
        ("GET /providers", "1999-01-01", 400, "InvalidApiVersionParameter"),
        ("GET /nowhere", VERSION, 404, "NotFound"),
        (f"TRACE {CHAT}", VERSION, 405, "MethodNotAllowed"),
        ("PUT /resources", VERSION, 405, "MethodNotAllowed"),
        ("GET /providers/Microsoft.Nowhere", VERSION, 404, "InvalidResourceNamespace"),
        ("GET /providers/Microsoft.Compute/nothing", VERSION, 404, "InvalidResourceType"),
        (f"GET {COMPUTE}/nothing/x", VERSION, 404, "InvalidResourceType"),
        (
            f"GET {COMPUTE.replace('chat', 'none')}/disks",
            "2024-03-02",
            404,
            "ResourceGroupNotFound",
        ),
        (f"POST {MACHINE}/explode", VERSION, 404, "InvalidResourceType"),
        (f"POST {MACHINE}/runCommand", VERSION, 409, "OperationNotAllowed"),
        ("DELETE /resourceGroups/none", VERSION, 404, "ResourceGroupNotFound"),
    ],
)
def test_a_refused_request(
    client: Client, request_line: str, version: str | None, status: int, code: str
) -> None:
    method, path = request_line.split()
    body: dict[str, str] | None = {} if method in ("PUT", "POST") else None
    answer = client.send(method, path, body, version=version)
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert answer.headers["x-ms-error-code"] == code
    assert answer.headers["x-ms-request-id"]


# What clients rely on


def test_a_new_resource_is_201_and_an_old_one_200_with_where_to_look(client: Client) -> None:
    path = f"{CHAT}/providers/Microsoft.Network/networkSecurityGroups/second"
    answers = [client.send("PUT", path, LOCATION, version=NETWORK) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 200]
    status = client.http.get(
        answers[0].headers["Azure-AsyncOperation"],
        headers={"Authorization": f"Bearer {client.token}"},
    ).json()
    assert status["status"] == "Succeeded" and status["endTime"]
    assert client.send("DELETE", path, version=NETWORK).status_code == 202
    assert client.send("DELETE", path, version=NETWORK).status_code == 204


def test_a_version_that_changed_meanwhile_is_not_overwritten(client: Client) -> None:
    path = f"{CHAT}/providers/Microsoft.Network/networkSecurityGroups/third"

    def put(**headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.send("PUT", path, LOCATION, version=NETWORK, headers=named)

    assert put(If_Match="*").status_code == 412, "it does not exist"
    first = put(If_None_Match="*").json()["etag"]
    assert put(If_None_Match="*").status_code == 412, "it exists"
    assert put(If_Match=first).status_code == 200
    late = put(If_Match=first)
    assert (late.status_code, code_of(late)) == (412, "PreconditionFailed")


def test_a_patch_changes_what_it_names(client: Client) -> None:
    answer = client.send("PATCH", MACHINE, {"tags": {"only": "this"}})
    assert answer.json()["tags"] == {"only": "this"}
    size = {"properties": {"hardwareProfile": {"vmSize": "Standard_B4ms"}}}
    assert client.send("PATCH", MACHINE, size).status_code == 200
    found = client.send("GET", MACHINE).json()
    assert found["properties"]["hardwareProfile"] == {"vmSize": "Standard_B4ms"}
    assert found["tags"] == {"only": "this"}
    assert found["properties"]["storageProfile"]["dataDisks"], "a PATCH leaves the rest"
    assert code_of(client.send("PATCH", f"{MACHINE}x", size)) == "ResourceNotFound"


def test_a_rule_of_a_group_is_a_resource_of_its_own(client: Client) -> None:
    names = [one["name"] for one in client.send("GET", RULES, version=NETWORK).json()["value"]]
    body = {"properties": rule("extra", 900)["properties"]}
    assert client.send("PUT", f"{RULES}/extra", body, version=NETWORK).status_code == 201
    assert client.send("GET", f"{RULES}/extra", version=NETWORK).json()["name"] == "extra"
    assert client.send("DELETE", f"{RULES}/extra", version=NETWORK).status_code == 202
    after = client.send("GET", RULES, version=NETWORK).json()["value"]
    assert [one["name"] for one in after] == names


def test_the_result_of_an_operation_on_a_rule_is_the_rule(client: Client) -> None:
    def result(answer: httpx.Response) -> httpx.Response:
        where = answer.headers["Location"]
        return client.http.get(where, headers={"Authorization": f"Bearer {client.token}"})

    body = {"properties": rule("extra", 900)["properties"]}
    put = result(client.send("PUT", f"{RULES}/extra", body, version=NETWORK))
    assert (put.status_code, put.json()["name"]) == (200, "extra")
    deleted = result(client.send("DELETE", f"{RULES}/extra", version=NETWORK))
    assert (deleted.status_code, deleted.content) == (204, b"")


def test_a_subnet_is_put_where_its_network_is(client: Client) -> None:
    path = f"{NET.removeprefix(SUBSCRIPTION_ID)}/subnets/second"
    body = {"properties": {"addressPrefix": "10.0.9.0/24"}}
    answer = client.send("PUT", path, body, version=NETWORK)
    assert answer.status_code == 201
    assert "/locations/francecentral/" in answer.headers["Azure-AsyncOperation"]
    assert client.send("DELETE", path, version=NETWORK).status_code == 202


@pytest.mark.parametrize(("version", "has"), [("2024-01-01", False), ("2024-03-01", True)])
def test_an_answer_has_the_shape_of_its_api_version(
    client: Client, version: str, has: bool
) -> None:
    """azure-mgmt-network 26.0.0 (2024-01-01) does not know the property, 27.0.0 does."""
    network = NET.removeprefix(SUBSCRIPTION_ID)
    networks = network.rpartition("/")[0]
    one = client.send("GET", network, version=version).json()
    put = client.send("PUT", network, BODIES[NET], version=version).json()
    lists = [
        client.send("GET", path, version=version).json()["value"][0]
        for path in (networks, networks.removeprefix(CHAT))
    ]
    for shown in (one, put, *lists):
        assert ("privateEndpointVNetPolicies" in shown["properties"]) is has


def test_properties_of_later_api_versions_within_others(client: Client) -> None:
    """azure-mgmt-network 21.0.1 (2022-01-01) does not know protectionMode."""
    address = IP.removeprefix(SUBSCRIPTION_ID)
    settings = client.send("GET", address, version=NETWORK).json()["properties"]["ddosSettings"]
    assert settings == {"protectionMode": "VirtualNetworkInherited"}
    former = client.send("GET", address, version="2022-01-01").json()["properties"]
    assert former["ddosSettings"] == {}
    change = {"properties": {"ddosSettings": settings}}
    refused = client.send("PATCH", address, change, version="2022-01-01")
    assert code_of(refused) == "InvalidRequestFormat"
    assert client.send("PATCH", address, change, version="2022-05-01").is_success


def test_lists_come_in_pages(client: Client) -> None:
    made = {f"page-{number:03}" for number in range(120)}
    for name in made:
        client.send("PUT", f"/resourceGroups/{name}", LOCATION)
    found: list[str] = []
    following: str | None = f"{SUBSCRIPTION_ID}/resourcegroups?api-version={VERSION}"
    pages = 0
    while following:
        headers = {"Authorization": f"Bearer {client.token}"}
        answer: dict[str, Any] = client.http.get(following, headers=headers).json()
        found += [group["name"] for group in answer["value"]]
        following, pages = answer.get("nextLink"), pages + 1
    assert pages > 2 and len(found) == len(set(found)) and made < set(found)
    top = client.send("GET", "/resourcegroups", query={"$top": "3"}).json()
    assert len(top["value"]) == 3 and "nextLink" not in top
    assert client.send("GET", "/resourcegroups", query={"$top": "-1"}).status_code == 400


def test_resources_are_found_by_type_and_name(client: Client) -> None:
    everything = client.send("GET", f"{CHAT}/resources").json()["value"]
    assert {"Microsoft.Compute/disks", "Microsoft.Compute/virtualMachines"} <= {
        each["type"] for each in everything
    }
    machines = client.send(
        "GET",
        "/resources",
        query={"$filter": "resourceType eq 'microsoft.compute/virtualmachines'"},
    ).json()["value"]
    assert [each["id"] for each in machines] == [VM]
    answer = client.send("GET", "/resources", query={"$filter": "name ne 'vm'"})
    assert code_of(answer) == "InvalidFilterInQueryString"


def test_tags_change_without_the_rest(client: Client) -> None:
    path = f"{CHAT}/providers/Microsoft.Resources/tags/default"

    def change(operation: str, **tags: str) -> dict[str, str]:
        body = {"operation": operation, "properties": {"tags": tags}}
        found: dict[str, str] = client.send("PATCH", path, body).json()["properties"]["tags"]
        return found

    assert change("Replace", a="1", b="2") == {"a": "1", "b": "2"}
    assert change("Merge", b="3", c="4") == {"a": "1", "b": "3", "c": "4"}
    assert change("Delete", a="1", c="other") == {"b": "3", "c": "4"}
    assert client.send("GET", CHAT).json()["tags"] == {"b": "3", "c": "4"}
    refused = client.send("PATCH", path, {"operation": "Burn", "properties": {"tags": {}}})
    assert code_of(refused) == "InvalidTagOperation"


def test_a_provider_that_is_not_registered_refuses(client: Client) -> None:
    provider = "/providers/Microsoft.Logic"
    assert client.send("GET", provider).json()["registrationState"] == "Registered"
    client.send("POST", f"{provider}/unregister")
    path = f"{CHAT}/providers/Microsoft.Logic/workflows/w"
    answer = client.send("PUT", path, {**LOCATION, "properties": {}}, version="2019-05-01")
    assert (answer.status_code, code_of(answer)) == (409, "MissingSubscriptionRegistration")
    assert client.send("POST", f"{provider}/register").json()["registrationState"] == "Registered"
    always = client.send("POST", "/providers/Microsoft.Resources/unregister")
    assert code_of(always) == "CannotUnregisterProvider"


def test_a_subnet_is_put_beside_the_others_of_its_network(client: Client) -> None:
    subnets = f"{NET.removeprefix(SUBSCRIPTION_ID)}/subnets"
    body = {"properties": {"addressPrefix": "10.0.9.0/24"}}
    answer = client.send("PUT", f"{subnets}/ninth", body, version=NETWORK)
    assert answer.status_code == 201 and answer.headers["Azure-AsyncOperation"]
    found = client.send("GET", subnets, version=NETWORK).json()["value"]
    assert {"ninth", "default"} <= {each["name"] for each in found}


def test_a_hundred_clients_change_one_resource_and_lose_nothing(client: Client) -> None:
    path = f"{CHAT}/providers/Microsoft.Network/networkSecurityGroups/shared"
    client.send("PUT", path, LOCATION, version=NETWORK)

    def put(number: int) -> int:
        body = {"properties": rule(f"n{number}", 100 + number)["properties"]}
        url = f"{path}/securityRules/n{number}"
        return client.send("PUT", url, body, version=NETWORK).status_code

    with ThreadPoolExecutor(100) as threads:
        assert set(threads.map(put, range(100))) == {201}
    found = client.send("GET", path, version=NETWORK).json()["properties"]["securityRules"]
    assert len(found) == 100


def test_a_hundred_clients_at_once_lose_nothing(client: Client) -> None:
    path = f"{CHAT}/providers/Microsoft.Network/networkSecurityGroups"

    def put(number: int) -> int:
        headers = {"Authorization": f"Bearer {client.token}"}
        url = f"{SUBSCRIPTION_ID}{path}/many-{number}"
        answer = client.http.put(
            url, params={"api-version": NETWORK}, json=LOCATION, headers=headers
        )
        return answer.status_code

    with ThreadPoolExecutor(100) as threads:
        assert set(threads.map(put, range(100))) == {201}
    found = client.send("GET", "/resources", query={"$filter": "resourceGroup eq 'chat'"}).json()
    names = set()
    while True:
        names |= {each["name"] for each in found["value"]}
        if "nextLink" not in found:
            break
        headers = {"Authorization": f"Bearer {client.token}"}
        found = client.http.get(found["nextLink"], headers=headers).json()
    assert {f"many-{number}" for number in range(100)} <= names


def test_a_server_killed_during_an_operation_loses_nothing(tmp_path: Path) -> None:
    """The worker goes on, and the next server has the former one's address and tokens."""
    with served(tmp_path / "instance") as account:
        client = Client(account)
        assert client.send("PUT", CHAT, LOCATION).status_code == 201
        faults = Faults(account.instance.home / "azure")
        path = f"{CHAT}/providers/Microsoft.Network/networkSecurityGroups/slow"
        faults.add(Fault("Microsoft.Network/networkSecurityGroups", slow=600))
        answer = client.send("PUT", path, LOCATION, version=NETWORK)
        assert answer.json()["properties"]["provisioningState"] == "Creating"
        poll = answer.headers["Azure-AsyncOperation"]
        record = account.instance.home / "host" / "processes" / "arm.json"
        os.kill(json.loads(record.read_text())["pid"], signal.SIGKILL)
        assert wait_until(lambda: not Processes(Places(account.instance)).alive("arm"), 10)

        again = Client(server.ensure(account.instance))
        again.token = client.token
        headers = {"Authorization": f"Bearer {client.token}"}
        assert again.http.get(poll, headers=headers).json()["status"] == "InProgress"
        assert again.http.get(poll, headers=headers).headers["Retry-After"]
        faults.clear()

        def finished() -> bool:
            state: str = again.http.get(poll, headers=headers).json()["status"]
            return state == "Succeeded"

        assert wait_until(finished, 30)
        found = again.send("GET", path, version=NETWORK).json()
        assert found["properties"]["provisioningState"] == "Succeeded"


def test_the_server_ends_with_its_instance(tmp_path: Path) -> None:
    with served(tmp_path / "instance") as account:
        processes = Processes(Places(account.instance))
        account.credentials_file.unlink()
        assert wait_until(lambda: not processes.alive("arm"), 30)
