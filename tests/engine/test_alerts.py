"""Azure's alerts on a deployed stack: what `pulumi up` adds, changes and removes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.engine.stack import Stack, names

HOOK = "https://hooks.example.com/alerts?key=hush-hush"
RULES = {"alert-machine-down", "alert-memory-low", "alert-credits-low"}
TEST = {
    "alert-chat-unreachable",
    "availability-insights",
    "availability-test",
    "availability-workspace",
}
TYPES = (
    "Microsoft.Insights/actionGroups",
    "Microsoft.Insights/metricAlerts",
    "Microsoft.AlertsManagement/actionRules",
    "Microsoft.Insights/webtests",
    "Microsoft.Insights/components",
    "Microsoft.OperationalInsights/workspaces",
)
# Pulumi's stack and the whole product, whose outputs a change of them passes through.
GROUPS = {"pulumi-local", "ollamazure-local"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack `local` under a name, deployed without alerts."""
    stack = Stack(tmp_path_factory.mktemp("alerts") / "emulator")
    stack.set("domain", "chat.example.com")
    stack.set("certificate.mode", "letsEncrypt")
    stack.up()
    yield stack


def azure(stack: Stack) -> Azure:
    return Azure(Instance.open(stack.home), NullFabric())


def test_alerts_come_change_and_go(stack: Stack) -> None:
    (machine,) = azure(stack).list("Microsoft.Compute/virtualMachines")
    stack.set("alerts.email[0]", "alice@example.com")
    stack.run("config", "set", "--secret", "ollamazure:alertsWebhook", HOOK)
    steps = stack.preview()
    assert names(steps, "create") == {"alerts", "action-group", *RULES, *TEST}
    assert names(steps, "update") <= GROUPS
    assert {step.op for step in steps} <= {"create", "update"}
    stack.up()
    assert stack.preview() == []

    (group,) = azure(stack).list("Microsoft.Insights/actionGroups")
    assert group["properties"]["webhookReceivers"][0]["serviceUri"] == HOOK
    assert "hush-hush" not in json.dumps(stack.state())
    alerts = azure(stack).list("Microsoft.Insights/metricAlerts")
    assert {alert["properties"]["actions"][0]["actionGroupId"] for alert in alerts} == {group["id"]}
    scopes = {scope for alert in alerts for scope in alert["properties"]["scopes"]}
    assert machine["id"] in scopes

    stack.set("alerts.email[1]", "bob@example.com")
    steps = stack.preview()
    assert names(steps, "update") - GROUPS == {"action-group"}
    assert {step.op for step in steps} == {"update"}
    stack.up()
    stack.run("refresh", "--yes")
    assert stack.preview() == []

    stack.run("config", "rm", "ollamazure:alerts")
    stack.run("config", "rm", "ollamazure:alertsWebhook")
    stack.up()
    assert [azure(stack).list(type_) for type_ in TYPES] == [[]] * len(TYPES)
    (after,) = azure(stack).list("Microsoft.Compute/virtualMachines")
    assert after["properties"]["vmId"] == machine["properties"]["vmId"]
    assert stack.preview() == []


@pytest.mark.long
def test_the_alert_on_the_address_is_silent_outside_the_working_hours(stack: Stack) -> None:
    stack.set("alerts.email[0]", "alice@example.com")
    stack.up()
    for key, value in (("start", "07:00"), ("end", "19:00"), ("timeZone", "Europe/Paris")):
        stack.set(f"workingHours.{key}", value)
    assert "alerts-outside-working-hours" in names(stack.preview(), "create")
    stack.up()
    (rule,) = azure(stack).list("Microsoft.AlertsManagement/actionRules")
    assert len(rule["properties"]["schedule"]["recurrences"]) == 3
    stack.run("refresh", "--yes")
    assert stack.preview() == []
    stack.set("workingHours.end", "20:00")
    assert "alerts-outside-working-hours" in names(stack.preview(), "update")
    stack.run("config", "rm", "ollamazure:workingHours")
    stack.up()
    assert azure(stack).list("Microsoft.AlertsManagement/actionRules") == []


@pytest.mark.long
def test_a_chat_that_azure_cannot_open_has_no_test_and_keeps_its_rules(stack: Stack) -> None:
    stack.set("alerts.email[0]", "alice@example.com")
    stack.up()
    stack.set("certificate.mode", "selfSigned")
    printed = stack.run("preview")
    assert "There is no availability test: certificate.mode is selfSigned" in printed
    assert names(stack.preview(), "delete") >= TEST
    stack.up()
    assert azure(stack).list("Microsoft.Insights/webtests") == []
    assert len(azure(stack).list("Microsoft.Insights/metricAlerts")) == len(RULES)


@pytest.mark.long
def test_a_new_tag_replaces_nothing_and_another_size_has_other_rules(stack: Stack) -> None:
    stack.set("alerts.email[0]", "alice@example.com")
    stack.up()
    stack.set("tags.team", "research")
    steps = stack.preview()
    assert {step.op for step in steps} == {"update"}
    assert {"action-group", "alert-machine-down"} <= names(steps, "update")
    stack.up()
    stack.set("vmSize", "Standard_D2as_v5")
    steps = stack.preview()
    assert "alert-credits-low" in names(steps, "delete")
    assert "alert-processors-busy" in names(steps, "create")
    assert "alert-machine-down" not in {step.name for step in steps}, "its scope is a name"
