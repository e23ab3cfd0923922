"""Key vaults, roles and credentials over HTTPS, as a bootstrap asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.names import FEDERATED_CREDENTIAL, ROLE_ASSIGNMENT, VAULT_KEY
from emulator.azure.service import Azure
from tests.unit.emulator.arm.client import SUBSCRIPTION_ID, Client, code_of, served
from tests.unit.emulator.azure.cloud import (
    ACCESS,
    CREDENTIALS,
    GROUP,
    IDENTITY,
    KEY,
    VAULT,
    assignment,
    credential,
    key,
    vault,
)

PROVIDER = "/providers/Microsoft.KeyVault"
VERSION, ROLES, IDENTITIES = "2026-02-01", "2022-04-01", "2023-01-31"
NAME = VAULT.rpartition("/")[2]
PRINCIPAL = "11111111-2222-3333-4444-555555555555"
ON_THE_KEY = f"{KEY}/providers/{ROLE_ASSIGNMENT}/{PRINCIPAL}"
ON_THE_GROUP = f"{GROUP}/providers/{ROLE_ASSIGNMENT}/{PRINCIPAL}"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of an Azure with a vault, which each test leaves as it was."""
    with served(tmp_path_factory.mktemp("arm") / "instance") as account:
        azure = Azure(account.instance, NullFabric())
        for resource_id, body in (
            (GROUP, {"location": "francecentral"}),
            (VAULT, vault()),
            (IDENTITY, {"location": "francecentral"}),
        ):
            azure.wait(azure.put(resource_id, body))
        yield Client(account)


def send(client: Client, method: str, id_: str, body: object = None, version: str = VERSION) -> Any:
    return client.send(method, id_.removeprefix(SUBSCRIPTION_ID), body, version=version)


def test_a_deleted_vault_is_listed_and_recovered(client: Client) -> None:
    deleted = f"{PROVIDER}/locations/francecentral/deletedVaults/{NAME}"
    assert send(client, "PUT", KEY, key()).status_code == 200, "clients accept nothing else"
    assert send(client, "GET", f"{PROVIDER}/deletedVaults").json() == {"value": []}
    assert code_of(send(client, "GET", deleted)) == "DeletedVaultNotFound"

    assert send(client, "DELETE", VAULT).status_code == 200
    (found,) = send(client, "GET", f"{PROVIDER}/deletedVaults").json()["value"]
    assert found["id"] == f"{SUBSCRIPTION_ID}{deleted}"
    assert send(client, "GET", deleted).json() == found
    refused = send(client, "POST", f"{deleted}/purge")
    assert (refused.status_code, code_of(refused)) == (405, "MethodNotAllowed")
    assert code_of(send(client, "PUT", VAULT, vault())) == "ConflictError"

    assert send(client, "PUT", VAULT, vault(createMode="recover")).status_code == 201
    keys = send(client, "GET", f"{VAULT}/keys").json()["value"]
    assert [each["name"] for each in keys] == ["state"]


def test_a_vault_without_protection_is_purged(client: Client) -> None:
    other = f"{VAULT[:-1]}x"
    send(client, "PUT", other, vault(enablePurgeProtection=None))
    send(client, "DELETE", other)
    path = f"{PROVIDER}/locations/francecentral/deletedVaults/{NAME[:-1]}x/purge"
    assert send(client, "POST", path).status_code == 200
    assert send(client, "GET", f"{PROVIDER}/deletedVaults").json() == {"value": []}


@pytest.mark.parametrize(
    ("name", "reason"),
    [(NAME, "AlreadyExists"), ("a--b", "AccountNameInvalid"), ("free-one", None)],
)
def test_a_name_is_free_or_the_reason_is_named(
    client: Client, name: str, reason: str | None
) -> None:
    body = {"name": name, "type": "Microsoft.KeyVault/vaults"}
    answer = send(client, "POST", f"{PROVIDER}/checkNameAvailability", body).json()
    assert (answer["nameAvailable"], answer.get("reason")) == (reason is None, reason)


def test_there_are_no_managed_hsms(client: Client) -> None:
    for path in (
        f"{PROVIDER}/managedHSMs",
        f"{PROVIDER}/deletedManagedHSMs",
        f"{GROUP}{PROVIDER}/managedHSMs",
    ):
        assert send(client, "GET", path).json() == {"value": []}


@pytest.mark.parametrize(
    ("resource_id", "version"),
    [
        pytest.param(KEY, VERSION, id=VAULT_KEY),
        pytest.param(f"{CREDENTIALS}/dev", IDENTITIES, id=FEDERATED_CREDENTIAL),
        pytest.param(ACCESS, ROLES, id=ROLE_ASSIGNMENT),
    ],
)
def test_what_has_no_patch_refuses_one(client: Client, resource_id: str, version: str) -> None:
    answer = send(client, "PATCH", resource_id, {"properties": {}}, version)
    assert (answer.status_code, code_of(answer)) == (405, "MethodNotAllowed")


def test_the_credentials_of_an_identity_are_listed(client: Client) -> None:
    path = f"{CREDENTIALS}/dev"
    assert send(client, "PUT", path, credential("dev"), IDENTITIES).status_code == 201
    assert send(client, "PUT", path, credential("dev"), IDENTITIES).status_code == 200
    (found,) = send(client, "GET", CREDENTIALS, version=IDENTITIES).json()["value"]
    assert (found["name"], found["properties"]) == ("dev", credential("dev")["properties"])


def test_the_assignments_of_a_scope_are_those_above_and_below_it(client: Client) -> None:
    send(client, "PUT", KEY, key())
    condition = {"condition": "(!(ActionMatches{'a'}))", "conditionVersion": "2.0"}
    for resource_id in (ON_THE_KEY, ON_THE_GROUP):
        body = assignment(PRINCIPAL, **condition)
        shown = send(client, "PUT", resource_id, body, ROLES).json()["properties"]
        assert shown.items() >= condition.items()

    def found(scope: str, filter_: str = "") -> set[str]:
        path = f"{scope}/providers/{ROLE_ASSIGNMENT}".removeprefix(SUBSCRIPTION_ID)
        query = {"$filter": filter_} if filter_ else {}
        answer = client.send("GET", path, version=ROLES, query=query)
        return {each["id"] for each in answer.json()["value"]}

    everything = {ON_THE_KEY, ON_THE_GROUP}
    assert found("") == found(VAULT) == found(KEY, "atScope()") == everything
    assert found(VAULT, "atScope()") == {ON_THE_GROUP}
    assert found("", f"principalId eq '{PRINCIPAL}'") == everything
    assert found("", f"principalId eq '{PRINCIPAL[:-1]}0'") == set()
