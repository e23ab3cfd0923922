"""What Azure refuses on request: every code, at every type that can answer it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.azure.errors import AzureError
from emulator.azure.faults import REFUSALS, Fault, main
from emulator.azure.names import DISK, INTERFACE, POOL, SUBNET, ResourceId
from emulator.azure.providers import KINDS
from emulator.instance import PROJECT, Instance
from tests.unit.emulator.azure import clusters
from tests.unit.emulator.azure.cloud import (
    ACCESS,
    ACCOUNT,
    ALERTS,
    BLOBS,
    BODIES,
    CONTAINER,
    CREDENTIALS,
    IDENTITY,
    KEY,
    NAT_GATEWAYS,
    NIC,
    STORAGE_ACCOUNT,
    VAULT,
    VM,
    WORKFLOWS,
    Body,
    Cloud,
    assignment,
    credential,
    key,
    vault,
    workflow,
)

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is not refused as it should be must reach no host."""
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")


NAT_GATEWAY: Body = {"location": "francecentral", "sku": {"name": "Standard"}}


def resources(cloud: Cloud) -> Iterator[tuple[ResourceId, Body]]:
    """A resource of each type with its body, each after those that it needs."""
    others = {
        f"{NAT_GATEWAYS}/nat": NAT_GATEWAY,
        IDENTITY: {"location": "francecentral"},
        f"{CREDENTIALS}/dev": credential("dev"),
        VAULT: vault(),
        KEY: key(),
        ACCOUNT: STORAGE_ACCOUNT,
        BLOBS: {},
        CONTAINER: {},
        **ALERTS,
        f"{WORKFLOWS}/vm-start": workflow(),
    }
    for id_, body in {**BODIES, **others, **clusters.BODIES}.items():
        yield ResourceId.parse(id_), body
    principal = cloud.azure.get(IDENTITY)["properties"]["principalId"]
    yield ResourceId.parse(ACCESS), assignment(principal)


# By the PUTs of a machine, a network, a cluster and a private endpoint.
CREATED_WITH_OTHERS = {DISK: 1, SUBNET: 3, POOL: 1, INTERFACE: 1}
REFUSED_AT_ONCE = [one for one in REFUSALS.values() if not one.late]


@pytest.mark.parametrize("code", [one.code for one in REFUSED_AT_ONCE if "put" in one.operations])
def test_a_refused_request_is_accepted_later_and_makes_one_resource(
    code: str, tmp_path: Path
) -> None:
    cloud, refusal = Cloud(tmp_path), REFUSALS[code]
    made = Counter(CREATED_WITH_OTHERS)
    for id_, body in resources(cloud):
        existed = cloud.exists(str(id_))
        made[id_.type] += 1
        if refusal.concerns(id_.type):
            cloud.azure.faults.add(Fault(id_.type, code=code, times=1))
            with pytest.raises(AzureError) as refused:
                cloud.put(str(id_), body)
            assert (refused.value.code, refused.value.status) == (code, refusal.status)
            assert "{" not in refused.value.message.replace("[{", "").replace(":{", "")
            assert cloud.exists(str(id_)) == existed
        cloud.put(str(id_), body)
    assert made == {type_: len(cloud.azure.list(type_)) for type_ in KINDS}


@pytest.mark.parametrize(
    "code", [one.code for one in REFUSALS.values() if "delete" in one.operations]
)
def test_a_refused_deletion_leaves_the_resource(code: str, cloud: Cloud) -> None:
    cloud.add_backups()
    cloud.delete(VM)
    types = {ResourceId.parse(id_).type: id_ for id_ in (ACCOUNT, NIC)}
    type_ = next(one for one in types if REFUSALS[code].concerns(one, "delete"))
    id_ = types[type_]
    cloud.azure.faults.add(Fault(type_, "delete", code=code, times=1))
    with pytest.raises(AzureError) as refused:
        cloud.delete(id_)
    assert refused.value.code == code
    assert cloud.exists(id_)
    cloud.delete(id_)
    assert not cloud.exists(id_)


def test_a_code_is_answered_only_to_what_azure_answers_it_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(tmp_path))
    nic = ["--type", "Microsoft.Network/networkInterfaces"]
    with pytest.raises(SystemExit):
        main(["add", *nic, "--code", "NicReservedForAnotherVm"])
    assert "NicReservedForAnotherVm to --operation delete" in capsys.readouterr().err
    main(["add", *nic, "--code", "NicReservedForAnotherVm", "--operation", "delete"])
    Instance.open(tmp_path).release()


def test_the_page_has_a_fix_for_each_refusal() -> None:
    page = (PROJECT / "docs" / "how-to" / "troubleshoot.md").read_text()
    table = page.partition("## Azure refuses")[2].partition("\n## ")[0]
    rows = [row.strip("|").split(" | ") for row in table.splitlines() if row.startswith("| `")]
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)
    explained = {code for row in rows for code in re.findall(r"`(\w+)`", row[0])}
    assert set(REFUSALS) - explained == set()
