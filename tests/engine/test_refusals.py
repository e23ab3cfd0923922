"""What Azure refuses, at each type: the run fails with Azure's code, and the next completes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.faults import REFUSALS, Fault, Refusal
from emulator.azure.service import Azure
from emulator.instance import Instance
from emulator.plugins.azure_types import TYPES
from tests.engine.pulumi_project import Project, Result, emulated_azure

HERE = Path(__file__).parent
PROGRAM = "\n".join((HERE / f"{name}_program.py").read_text() for name in ("azure", "cluster"))
EDIT = {"EDIT": json.dumps({"everything": True})}
MADE = {native.arm for native in TYPES.values()}
"""The types of the program's resources."""
MACHINE = "Microsoft.Compute/virtualMachines"
CLUSTER = "Microsoft.ContainerService/managedClusters"
ENDPOINT = "Microsoft.Network/privateEndpoints"


class Refused:
    """A project with a resource of each type, on an Azure of its own, and its runs."""

    def __init__(self, project: Project, instance: Instance) -> None:
        self.project = project
        self.azure = Azure(instance, NullFabric())

    def up(self) -> Result:
        return self.project.run("up", "--yes", "--skip-preview", environment=EDIT)

    def destroy(self) -> Result:
        return self.project.run("destroy", "--yes", "--skip-preview", environment=EDIT)

    def refuse(self, refusal: Refusal, types: set[str], times: int = 1) -> None:
        for type_ in types:
            self.azure.faults.add(Fault(type_, code=refusal.code, times=times))

    def not_refused(self) -> set[str]:
        """The types whose refusal is still to come."""
        return {fault.type for fault in self.azure.faults.read() if fault.times > 0}

    def assert_complete(self) -> None:
        """Everything exists once, in the state and in Azure, and the program wants no change."""
        self.project.run("preview", "--expect-no-changes", environment=EDIT).ok()
        resources = self.project.resources().values()
        assert not [each["urn"] for each in resources if each.get("initErrors")]
        machine = self.azure.list(MACHINE)[0]["properties"]["storageProfile"]["osDisk"]
        endpoint = self.azure.list(ENDPOINT)[0]["properties"]["networkInterfaces"][0]
        system = f"{self.azure.list(CLUSTER)[0]['id']}/agentPools/system"
        by_azure = {machine["managedDisk"]["id"], endpoint["id"], system}
        assert {each["id"] for each in resources if each["type"].startswith("azure-native:")} == {
            each["id"] for type_ in MADE for each in self.azure.list(type_)
        } - by_azure


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[Refused]:
    folder = tmp_path / "project"
    folder.mkdir()
    with emulated_azure(folder / "emulator", plan=True) as instance:
        project = Project(folder, instance, PROGRAM)
        project.environment["OLLAMAZURE_PLAN"] = "1"
        yield Refused(project, instance)


def types_of(refusal: Refusal) -> set[str]:
    return {type_ for type_ in MADE if refusal.concerns(type_)}


AGAIN = [one for one in REFUSALS.values() if one.retry_after is not None]
FINAL = [one for one in REFUSALS.values() if one.retry_after is None and "put" in one.operations]


@pytest.mark.parametrize("refusal", AGAIN, ids=lambda one: one.code)
def test_what_passes_by_itself_is_waited_for(refused: Refused, refusal: Refusal) -> None:
    """Each type is refused twice in the one run, which waits as Azure asks and goes on."""
    refused.refuse(refusal, types_of(refusal), times=2)
    refused.up().ok()
    assert not refused.not_refused()
    refused.assert_complete()


@pytest.mark.long
def test_what_does_not_pass_ends_the_run_with_azures_code(refused: Refused) -> None:
    throttled = REFUSALS["TooManyRequests"]
    refused.refuse(throttled, {MACHINE}, times=0)
    printed = refused.up().failed().text
    assert 'Status=429 Code="TooManyRequests" Message="The request is being throttled' in printed
    refused.azure.faults.clear()
    refused.up().ok()
    refused.assert_complete()


@pytest.mark.long
@pytest.mark.parametrize("refusal", FINAL, ids=lambda one: one.code)
def test_each_type_is_refused_once_and_made_by_the_next_run(
    refused: Refused, refusal: Refusal
) -> None:
    left = types_of(refusal)
    refused.refuse(refusal, left)
    while left:
        printed = refused.up().failed().text
        assert f'Status={refusal.status} Code="{refusal.code}"' in printed
        assert refused.not_refused() < left, "each run meets a refusal at least"
        left = refused.not_refused()
    refused.up().ok()
    refused.assert_complete()


@pytest.mark.long
def test_a_destruction_that_is_refused_at_each_type_ends_with_nothing_left(
    refused: Refused,
) -> None:
    locked = REFUSALS["ScopeLocked"]
    refused.up().ok()
    deleted = {native.arm for native in TYPES.values() if native.initial is None}
    for type_ in deleted:
        refused.azure.faults.add(Fault(type_, "delete", code=locked.code, times=1))
    while left := refused.not_refused():
        destroyed = refused.destroy().failed()
        assert 'Status=409 Code="ScopeLocked"' in destroyed.text
        assert refused.not_refused() < left, "each run meets a refusal at least"
    refused.destroy().ok()
    assert refused.azure.store.read().resources == {}
