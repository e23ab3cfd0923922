"""The outputs, and the operator's page, whose commands exist."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pulumi
import pytest

from components import outputs
from components.outputs import (
    cost_in_numbers,
    refuse_changes,
    render_operator_page,
)
from ollamazure.settings import engines
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError
from ollamazure.sizing.cost import MonthlyCost
from tests.unit.components.test_cloud import whole_program

NAMES = """stack url adminEmail models vmSize location monthlyCostEstimate certificateMode
    certificateFingerprint sshCommand hostKey keepData hasUsers redirectUri
    backupTarget backupSshPublicKey"""


def test_the_operators_page_names_the_commands_of_this_stack() -> None:
    page = render_operator_page({**dict.fromkeys(NAMES.split(), "x"), "stack": "staging"})
    commands = re.findall(r"`bin/ollamazure ([a-z]+) --stack staging[^`]*`", page)
    shown = ["people", "status", "ssh", "logs", "ssh", "backup", "restore", "drift", "status"]
    assert commands == shown
    cli = pytest.importorskip("ollamazure.cli")
    assert {*commands} <= {command.name for command in cli.app.registered_commands}


def test_no_output_waits_for_a_command_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it failed, there would be no outputs: no address, key or password for the operator.

    The key waits for what makes the machine accept it, which a new machine does by itself.
    """
    waits_for: dict[str, set[str]] = {}

    async def note(name: str, output: pulumi.Output[Any]) -> str:
        waits_for[name] = {each.pulumi_resource_name for each in await output.resources()}
        return name

    def export(name: str, value: Any) -> None:
        pulumi.Output.all(note(name, pulumi.Output.from_input(value)))

    monkeypatch.setattr(pulumi, "export", export)
    recorder = whole_program("dev")
    commands = {each.name for each in recorder.resources if each.type.startswith("command:")}
    waited_for = {each for names in waits_for.values() for each in names}
    assert commands & waited_for == {"ssh-key-retirement", "ssh-key-authorized"}
    assert waits_for["sshCommand"]


def test_each_model_is_exported_with_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    exported: dict[str, Any] = {}
    monkeypatch.setattr(pulumi, "export", exported.__setitem__)
    whole_program("dev")
    (licence,) = exported["modelLicences"].items()
    assert licence[0] == "llama3.2:1b"
    assert licence[1].startswith("Llama 3.2 Community License. Meta's Acceptable Use Policy")


def test_the_cost_is_exported_in_numbers_too() -> None:
    cost = MonthlyCost(71.5432, "USD", "eastus", date(2026, 11, 23), verified=False)
    assert cost_in_numbers(cost) == {
        "amount": 71.54,
        "currency": "USD",
        "region": "eastus",
        "asOf": "2026-11-23",
        "verified": False,
    }


def test_outputs_that_cannot_be_read_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen with the file backend, while the same run wrote its first state."""

    def cut_off(*_: object) -> None:
        raise Exception("invoke of readStackResourceOutputs failed: failed to load checkpoint: EOF")

    monkeypatch.setattr(outputs, "invoke", cut_off)
    former = outputs.former_outputs()
    assert (outputs.size_in(former), outputs.users_in(former)) == (None, [])


def test_a_stack_of_an_earlier_version_is_upgraded_before_its_secrets_are_replaced() -> None:
    """Pulumi would ignore the rotations; all others work at once."""
    early = ("sshKey", "hostKey", "initialPasswords")
    rotation = dict.fromkeys((*early, "sessionKey", "adminPassword"), "2027-01")
    settings = parse({"sshClients": '["203.0.113.7"]', "rotation": json.dumps(rotation)})
    with pytest.raises(SettingsError) as refused:
        refuse_changes({"url": "https://203.0.113.9"}, settings)
    assert [problem.where for problem in refused.value.problems] == [
        f"ollamazure:rotation.{name}" for name in early
    ]
    key = "ollamazure:rotation.sshKey"
    fix = f"config rm --path {key} && pulumi up && pulumi config set --path {key} 2027-01"
    assert fix in str(refused.value)
    refuse_changes({}, settings)
    refuse_changes({"certificateTrust": {}}, settings)


def test_a_smaller_data_disk_is_refused_with_the_size_that_it_has() -> None:
    smaller = parse({"sshClients": '["203.0.113.7"]', "dataDiskGiB": "32"})
    with pytest.raises(SettingsError) as refused:
        refuse_changes({"dataDiskGiB": 64.0}, smaller)
    (problem,) = refused.value.problems
    assert problem.where == "ollamazure:dataDiskGiB"
    assert "the data disk has 64 GiB, and Azure never shrinks a disk" in problem.what
    assert problem.fix == (
        "pulumi config set ollamazure:dataDiskGiB 64\nA smaller disk is a new one: "
        "docs/how-to/keep-and-adopt-the-data-disk.md#a-smaller-disk"
    )


@pytest.mark.parametrize("former", [{}, {"dataDiskGiB": None}, {"dataDiskGiB": 32}])
def test_a_disk_that_is_unknown_or_not_larger_is_no_problem(former: dict[str, int | None]) -> None:
    """Unknown: of an earlier version, or an adopted one."""
    refuse_changes(former, parse({"sshClients": '["203.0.113.7"]', "dataDiskGiB": "32"}))


def test_another_engine_is_another_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would delete the machine, or the cluster."""
    monkeypatch.setattr(engines, "CAN_DEPLOY", ("machine", "kubernetes"))
    machine = parse({"sshClients": '["203.0.113.7"]'})
    cluster = parse({"sshClients": '["203.0.113.7"]', "engine": "kubernetes"})
    for former, wanted, present in (
        ({"url": "https://203.0.113.9", "certificateTrust": {}}, cluster, "machine"),
        ({"engine": "kubernetes", "certificateTrust": {}}, machine, "kubernetes"),
    ):
        with pytest.raises(SettingsError) as refused:
            refuse_changes(former, wanted)
        (problem,) = refused.value.problems
        assert "deploy it as a stack of its own" in problem.what
        assert problem.fix == f"pulumi config set ollamazure:engine {present}"
    refuse_changes({}, cluster)
    refuse_changes({"engine": "kubernetes", "certificateTrust": {}}, cluster)
