"""The machine's power by `az`, with a stand-in that answers as the real one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamazure.azure import power
from ollamazure.azure.az import AzError
from ollamazure.azure.power import StackMachine
from tests.unit.stand_in import Program

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
NAMED = "--resource-group ollamazure-dev --name vm"
ON = f"--subscription {SUBSCRIPTION} --output json"


class Azure(Program):
    """A machine that stays in one state."""

    def shows(self, state: str, provisioning: str = "succeeded", message: str = "") -> None:
        statuses = [
            {"code": f"ProvisioningState/{provisioning}", "message": message},
            {"code": f"PowerState/{state}"},
        ]
        self.answer(f"vm get-instance-view {NAMED} {ON}", {"instanceView": {"statuses": statuses}})


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Azure:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    found = Azure(tmp_path, "az")
    found.answer("account show --output json", {"id": SUBSCRIPTION})
    found.answer(f"vm start {NAMED} --no-wait {ON}", None)
    found.shows("deallocated")
    found.install()
    return found


def start(azure: Azure, folder: Path, *then: tuple[str, str, str]) -> list[str]:
    """What it reports while the machine is in one state after the other."""
    reported: list[str] = []
    states = iter(then)

    def sleep(_: float) -> None:
        azure.shows(*next(states))
        azure.install()

    StackMachine.of("dev", folder).change("start", reported.append, sleep)
    return reported


def test_it_waits_with_progress(azure: Azure, tmp_path: Path) -> None:
    starting = ("starting", "updating", "")
    well = ("running", "succeeded", "")
    reported = start(azure, tmp_path, starting, starting, starting, starting, well)
    assert reported == ["  deallocated, 0 s", "  starting, 15 s"]
    assert StackMachine.of("dev", tmp_path).state() == "running"


def test_a_machine_that_azure_has_no_place_for(azure: Azure, tmp_path: Path) -> None:
    failed = ("deallocated", "failed/AllocationFailed", "Allocation failed.")
    with pytest.raises(AzError, match="`az vm start` has not ended well: Allocation failed"):
        start(azure, tmp_path, failed)


def test_it_does_not_wait_for_ever(
    azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power, "LIMIT_SECONDS", 10)
    starting = ("starting", "updating", "")
    with pytest.raises(AzError, match="it is still starting after"):
        start(azure, tmp_path, starting, starting, starting)


def test_the_subscription_is_that_of_the_stack(azure: Azure, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(f"config: {{'azure-native:subscriptionId': {SUBSCRIPTION}}}\n")
    azure.answer(f"account show --subscription {SUBSCRIPTION} --output json", {"id": SUBSCRIPTION})
    azure.install()
    assert StackMachine.of("dev", tmp_path).state() == "deallocated"
    with pytest.raises(AzError, match=r"Pulumi\.other\.yaml does not exist"):
        StackMachine.of("other", tmp_path)
