"""Alerts of Azure: who gets which, and which test of the address there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.azure.alerts import METRICS
from emulator.azure.availability import FREQUENCIES, LOCATIONS
from emulator.azure.fabric import NullFabric
from emulator.azure.names import MACHINE
from emulator.azure.service import Azure
from emulator.instance import Instance
from emulator.plugins.azure_types import TYPES
from tests.unit.components.recorder import Recorder
from tests.unit.components.test_cloud import whole_program

HOOK = "https://hooks.example.com/alerts?key=hush-hush"
OPEN = {
    "alerts": {"email": ["Alice@example.com", "bob@example.com"]},
    "alertsWebhook": HOOK,
    "dnsLabel": "our-team-chat",
    "certificate": {"mode": "letsEncrypt"},
}
HOURS = {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}
MODULES = {"monitor", "applicationinsights", "operationalinsights", "alertsmanagement"}
RESOURCES = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ollamazure-dev"


@pytest.fixture(scope="module")
def tested() -> Recorder:
    """A stack whose address Azure can test, in working hours."""
    return whole_program("dev", workingHours=HOURS, **OPEN)


def rules(recorded: Recorder) -> dict[str, Any]:
    return {it.name: it.inputs for it in recorded.of("azure-native:monitor:MetricAlert")}


def conditions(recorded: Recorder) -> dict[str, Any]:
    return {
        name: inputs["criteria"]["allOf"][0]
        for name, inputs in rules(recorded).items()
        if "allOf" in inputs["criteria"]
    }


def test_without_a_receiver_there_is_nothing() -> None:
    recorded = whole_program("dev")
    modules = {it.type.split(":")[1] for it in recorded.resources}
    assert not modules & MODULES
    assert not recorded.of("ollamazure:index:Alerts")


def test_who_gets_alerts(tested: Recorder) -> None:
    group = tested.named("action-group")
    addresses = [each["emailAddress"] for each in group.inputs["emailReceivers"]]
    assert addresses == ["alice@example.com", "bob@example.com"]
    assert group.inputs["location"] == "global"
    assert len(group.inputs["groupShortName"]) <= 12
    receivers = [*group.inputs["emailReceivers"], *group.inputs["webhookReceivers"]]
    assert len({each["name"] for each in receivers}) == 3
    assert all(each["useCommonAlertSchema"] for each in receivers)
    every = {it.name: it.inputs["actions"] for it in tested.of("azure-native:monitor:MetricAlert")}
    assert {str(actions) for actions in every.values()} == {
        "[{'actionGroupId': 'action-group-id'}]"
    }


def test_the_webhook_is_a_secret(tested: Recorder) -> None:
    group = tested.named("action-group")
    assert group.inputs["webhookReceivers"][0]["serviceUri"] == HOOK
    assert "webhookReceivers" in group.secrets & group.secret_outputs
    shown = [
        value
        for it in tested.resources
        for name, value in it.inputs.items()
        if name not in it.secrets
    ]
    assert "hush-hush" not in str(shown)


def test_a_receiver_keeps_its_name_when_another_one_leaves(tested: Recorder) -> None:
    fewer = whole_program("dev", alerts={"email": ["bob@example.com"]})
    [bob] = fewer.named("action-group").inputs["emailReceivers"]
    assert bob in tested.named("action-group").inputs["emailReceivers"]
    assert "webhookReceivers" not in fewer.named("action-group").inputs


@pytest.mark.parametrize(
    ("size", "third"),
    [
        ("Standard_B2ms", {"alert-credits-low"}),
        ("Standard_D4as_v5", {"alert-processors-busy"}),
        ("Standard_NC4as_T4_v3", set()),
    ],
)
def test_the_rules_follow_from_the_size(size: str, third: set[str]) -> None:
    recorded = whole_program("dev", vmSize=size, alerts={"email": ["alice@example.com"]})
    assert set(rules(recorded)) == {"alert-machine-down", "alert-memory-low"} | third
    for name, inputs in rules(recorded).items():
        condition = conditions(recorded)[name]
        assert condition["metricName"] in METRICS, "Azure does not check the names"
        assert condition["skipMetricValidation"] is True
        assert inputs["scopes"] == [f"{RESOURCES}/providers/Microsoft.Compute/virtualMachines/vm"]
        assert inputs["ruleName"].startswith("ollamazure-dev-")
        assert 80 < len(inputs["description"]) < 500, "what it means and what to do"


def test_thresholds(tested: Recorder) -> None:
    found = {
        name: (it["metricName"], it["timeAggregation"], it["operator"], it["threshold"])
        for name, it in conditions(tested).items()
    }
    assert found == {
        "alert-machine-down": ("VmAvailabilityMetric", "Maximum", "LessThan", 1),
        "alert-memory-low": ("Available Memory Bytes", "Average", "LessThan", 2**28),
        "alert-credits-low": ("CPU Credits Remaining", "Average", "LessThan", 10),
    }


def test_the_address_is_tested_as_a_browser_opens_it(tested: Recorder) -> None:
    test = tested.named("availability-test").inputs
    name = "our-team-chat.francecentral.cloudapp.azure.com"
    assert test["request"]["requestUrl"] == f"https://{name}/health"
    assert test["validationRules"]["sSLCheck"] is True
    assert {each["location"] for each in test["locations"]} <= LOCATIONS
    assert test["frequency"] in FREQUENCIES
    component = f"{RESOURCES}/providers/Microsoft.Insights/components/chat"
    assert test["tags"][f"hidden-link:{component}"] == "Resource"
    assert test["tags"]["stack"] == "dev"
    insights = tested.named("availability-insights")
    assert (insights.inputs["resourceName"], test["location"]) == ("chat", "francecentral")
    assert insights.inputs["workspaceResourceId"] == "availability-workspace-id"
    assert insights.secret_outputs == {"connectionString", "instrumentationKey"}
    alert = rules(tested)["alert-chat-unreachable"]
    assert alert["scopes"] == ["availability-test-id", "availability-insights-id"]
    assert alert["criteria"]["failedLocationCount"] == 3
    assert alert["criteria"]["webTestId"] == "availability-test-id"


@pytest.mark.parametrize(
    "changes",
    [
        {"alerts": {"email": ["alice@example.com"], "availabilityTest": False}},
        {"certificate": {"mode": "selfSigned"}},
        {"allowedClients": ["203.0.113.0/24"], "certificate": {"mode": "selfSigned"}},
    ],
)
def test_no_test_where_it_would_always_fail_or_is_not_wanted(changes: dict[str, Any]) -> None:
    recorded = whole_program("dev", **{**OPEN, **changes})
    modules = {it.type.split(":")[1] for it in recorded.resources}
    assert "monitor" in modules
    assert not modules & {"applicationinsights", "operationalinsights"}
    assert "alert-chat-unreachable" not in rules(recorded)


def test_outside_the_working_hours_no_one_gets_the_alert_on_the_address(tested: Recorder) -> None:
    [rule] = tested.of("azure-native:alertsmanagement:AlertProcessingRuleByName")
    properties = rule.inputs["properties"]
    assert properties["scopes"] == [RESOURCES]
    [condition] = properties["conditions"]
    assert condition["field"] == "AlertRuleName"
    assert condition["values"] == [rules(tested)["alert-chat-unreachable"]["ruleName"]]
    assert properties["actions"] == [{"actionType": "RemoveAllActionGroups"}]
    assert properties["schedule"]["timeZone"] == "Romance Standard Time"
    week = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
    times = [
        (each["daysOfWeek"], each.get("startTime"), each.get("endTime"))
        for each in properties["schedule"]["recurrences"]
    ]
    assert times == [
        (week, "00:00:00", "07:20:00"),
        (week, "19:00:00", "23:59:59"),
        (["Saturday", "Sunday"], None, None),
    ]


@pytest.mark.parametrize("changes", [{}, {"workingHours": HOURS, "dnsLabel": None}])
def test_without_hours_or_without_a_test_nothing_is_silent(changes: dict[str, Any]) -> None:
    given = {key: value for key, value in {**OPEN, **changes}.items() if value is not None}
    if "dnsLabel" not in given:
        given["certificate"] = {"mode": "selfSigned"}
    recorded = whole_program("dev", **given)
    assert not recorded.of("azure-native:alertsmanagement:AlertProcessingRuleByName")


def test_a_machine_of_all_days_has_no_silent_ones() -> None:
    days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    recorded = whole_program("dev", workingHours={**HOURS, "days": days}, **OPEN)
    [rule] = recorded.of("azure-native:alertsmanagement:AlertProcessingRuleByName")
    assert len(rule.inputs["properties"]["schedule"]["recurrences"]) == 2


def test_the_emulated_azure_accepts_them_all(tested: Recorder, tmp_path: Path) -> None:
    cloud = Azure(Instance(tmp_path, "abc123", 200), NullFabric())
    group = {"location": "francecentral"}
    cloud.wait(cloud.put(RESOURCES, group))
    # The rules are on the machine; it has needs of its own, which other tests cover.
    with cloud.store.change() as state:
        machine = f"{RESOURCES}/providers/Microsoft.Compute/virtualMachines/vm"
        state.resources[machine.lower()] = {"id": machine, "type": MACHINE, "properties": {}}
    ids: dict[str, str] = {}
    for resource in tested.resources:
        native = TYPES.get(resource.type)
        if native is None or resource.type.split(":")[1] not in MODULES:
            continue
        text = json.dumps({**resource.inputs, "resourceGroupName": "ollamazure-dev"})
        for name, resource_id in ids.items():
            text = text.replace(f'"{name}-id"', json.dumps(resource_id))
        # Whole numbers, as the plugin reads them.
        inputs = json.loads(text.replace(".0,", ",").replace(".0}", "}"))
        assert native.check(inputs) == []
        ids[resource.name] = native.id(inputs, RESOURCES.split("/")[2])
        cloud.wait(cloud.put(ids[resource.name], native.body(inputs), native.api_version))
        shown = native.project(native.outputs_of(cloud.get(ids[resource.name])))
        given = {key: each for key, each in inputs.items() if key in shown}
        assert {key: shown[key] for key in given} == given, "a refresh changes nothing"
    assert len(ids) == 9
