"""Azure Monitor's alerts: who gets them, when (rules on metrics), and when not."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import urlsplit

from emulator.azure.errors import AzureError
from emulator.azure.kinds import PutRequest, ResourceKind, merge_defaults, not_found, now
from emulator.azure.names import ACTION_GROUP, COMPONENT, MACHINE, WEB_TEST, ResourceId
from emulator.azure.offers import offers
from emulator.azure.store import Body, StoredState

# learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits
MOST_RECEIVERS = {"emailReceivers": 1000, "webhookReceivers": 10}
LONGEST_EMAIL = 64
LONGEST_SHORT_NAME = 12
# Receivers of kinds that the emulator does not know; a GET shows that there are none.
OTHER_RECEIVERS = (
    *("armRoleReceivers", "automationRunbookReceivers", "azureAppPushReceivers"),
    *("azureFunctionReceivers", "eventHubReceivers", "incidentReceivers", "itsmReceivers"),
    *("logicAppReceivers", "smsReceivers", "voiceReceivers"),
)
# Some of a machine's metrics that need nothing inside it, as of July 2026. All can be averaged.
# learn.microsoft.com/azure/azure-monitor/reference/supported-metrics, Microsoft.Compute
METRICS = frozenset(
    {
        *("Available Memory Bytes", "Available Memory Percentage", "CPU Credits Consumed"),
        *("CPU Credits Remaining", "Data Disk Bandwidth Consumed Percentage"),
        *("Data Disk IOPS Consumed Percentage", "Network In Total", "Network Out Total"),
        *("OS Disk Bandwidth Consumed Percentage", "OS Disk IOPS Consumed Percentage"),
        *("Percentage CPU", "VmAvailabilityMetric"),
    }
)
AVAILABILITY = "Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria"
MINUTES = {
    "PT1M": 1, "PT5M": 5, "PT15M": 15, "PT30M": 30, "PT1H": 60, "PT6H": 360, "PT12H": 720,
    "P1D": 1440,
}  # fmt: skip
# What no source shows word for word is marked: "not verified".


class ActionGroup(ResourceKind):
    """Receivers of alerts. It may be deleted while rules name it."""

    def put(self, request: PutRequest) -> None:
        _check_name(request.id.name)
        short = request.properties["groupShortName"]
        if len(short) > LONGEST_SHORT_NAME:  # github.com/Azure/bellhop/issues/72
            raise AzureError(
                "GroupShortNameIsTooLong",
                f"The action group short name '{short}' is too long. Please specify a short name"
                f" with '{LONGEST_SHORT_NAME}' or less characters",
            )
        for kind, most in MOST_RECEIVERS.items():
            receivers = request.properties.setdefault(kind, [])
            if len(receivers) > most:
                raise _bad(f"An action group has at most {most} {kind}.")  # not verified
            for receiver in receivers:
                merge_defaults(receiver, {"useCommonAlertSchema": False})
        self._check_receivers(request.properties)

    def _check_receivers(self, properties: Body) -> None:
        """Codes and messages are not verified; the documentation has the rules."""
        receivers = [*properties["emailReceivers"], *properties["webhookReceivers"]]
        for name, times in Counter(each["name"] for each in receivers).items():
            if times > 1:
                raise _bad(f"Receiver names must be unique within an action group: '{name}'.")
        for receiver in properties["emailReceivers"]:
            address = receiver["emailAddress"]
            if len(address) > LONGEST_EMAIL or not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
                raise _bad(f"The email address of the receiver '{receiver['name']}' is invalid.")
        for receiver in properties["webhookReceivers"]:
            uri = urlsplit(receiver["serviceUri"])
            if uri.scheme not in ("http", "https") or not uri.hostname:  # the URI is a secret
                raise _bad(f"The service URI of the receiver '{receiver['name']}' is invalid.")

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        properties = body["properties"]
        properties.pop("provisioningState", None)
        for receiver in properties["emailReceivers"]:
            receiver["status"] = "Enabled"
        properties |= {kind: [] for kind in OTHER_RECEIVERS}


class MetricAlert(ResourceKind):
    """A rule on a machine's metrics, or on the locations of an availability test that fails."""

    def put(self, request: PutRequest) -> None:
        properties = request.properties
        _check_name(request.id.name)
        if not 0 <= properties["severity"] <= 4:
            raise _bad("The severity must be between 0 and 4.")  # not verified
        _check_times(properties["evaluationFrequency"], properties["windowSize"])
        scopes = [ResourceId.parse(each) for each in properties["scopes"]]
        criteria = properties["criteria"]
        if criteria["odata.type"] == AVAILABILITY:
            _check_availability(criteria, scopes)
        else:
            _check_metrics(criteria, scopes)
        for scope in scopes:
            if scope.key not in request.state.resources:
                raise not_found(scope)
        for action in properties.get("actions") or []:
            _check_action(request, action["actionGroupId"])
        merge_defaults(properties, {"autoMitigate": True, "actions": [], "isMigrated": False})
        properties["lastUpdatedTime"] = now()

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)


class AlertProcessingRule(ResourceKind):
    """When the receivers of some alerts get none. Codes and messages are not verified.

    The shape of a schedule: the example "outside business hours" of the API 2021-08-08 in
    github.com/Azure/azure-rest-api-specs.
    """

    def put(self, request: PutRequest) -> None:
        properties = request.properties
        if not properties["scopes"] or not properties["actions"]:
            raise _bad("The rule needs a scope and an action.")
        schedule = properties.get("schedule") or {}
        zone = schedule.get("timeZone")
        if zone is not None and zone not in offers().time_zones:
            raise _bad(f"The time zone '{zone}' is invalid.")
        for recurrence in schedule.get("recurrences") or []:
            if not recurrence["daysOfWeek"]:
                raise _bad("A weekly recurrence needs days.")
            for name in ("startTime", "endTime"):
                moment = recurrence.get(name, "00:00:00")
                if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d", moment):
                    raise _bad(f"The {name} '{moment}' of a recurrence is invalid.")
        merge_defaults(properties, {"enabled": True})

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        body["properties"].pop("provisioningState", None)


def _check_name(name: str) -> None:
    # learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    if not re.fullmatch(r"[^*#&+:<>?@%{}\\/|]{1,260}(?<![ .])", name):
        raise AzureError(
            "InvalidResourceName", f"The provided resource name '{name}' is invalid."
        )  # not verified


def _check_times(frequency: str, window: str) -> None:
    if MINUTES[frequency] > MINUTES[window]:
        raise _bad(  # not verified
            f"The evaluation frequency '{frequency}' must not be greater than the window size"
            f" '{window}'."
        )
    # github.com/DFE-Digital/publish-teacher-training/pull/4368
    if MINUTES[window] > 240 and MINUTES[frequency] < 5:
        raise _bad(
            "Evaluation frequency must be greater than or equal to five minutes since the period is"
            " greater than four hours."
        )


def _check_availability(criteria: Body, scopes: list[ResourceId]) -> None:
    """The scopes are the test and its component: github.com/Azure/ResourceModules/issues/4550."""
    named = [criteria.get(name) for name in ("webTestId", "componentId")]
    found = {scope.key: scope.type.lower() for scope in scopes}
    if (
        sorted(found.values()) != sorted([WEB_TEST.lower(), COMPONENT.lower()])
        or {each and each.lower() for each in named} != found.keys()
        or "allOf" in criteria
    ):
        raise _bad("Alert scope is invalid.")
    if not criteria.get("failedLocationCount"):
        raise _bad("The failed location count must be at least 1.")  # not verified


def _check_metrics(criteria: Body, scopes: list[ResourceId]) -> None:
    if [scope.type.lower() for scope in scopes] != [MACHINE.lower()]:
        raise _bad("Alert scope is invalid.")
    conditions = criteria.get("allOf") or []
    if not conditions or {"webTestId", "componentId", "failedLocationCount"} & criteria.keys():
        raise _bad("The criteria of the alert are invalid.")  # not verified
    for condition in conditions:
        namespace = condition.setdefault("metricNamespace", MACHINE)
        if namespace.lower() != MACHINE.lower():
            # github.com/hashicorp/terraform-provider-azurerm/issues/2470
            raise _bad(
                f"Detect invalid value: {namespace} for query parameter: 'metricnamespace', the"
                f" value must be: {MACHINE} if the query parameter is provided, you can also skip"
                " this optional query parameter."
            )
        if condition["metricName"] not in METRICS and not condition.get("skipMetricValidation"):
            # github.com/Azure/azure-cli: its test of `az monitor metrics alert create`
            raise _bad(f"Couldn't find a metric named {condition['metricName']}.")


def _check_action(request: PutRequest, group: str) -> None:
    """Whether the group exists: github.com/Azure/azure-powershell/issues/11102."""
    found = request.state.resources.get(group.lower())
    if found is None or found["type"] != ACTION_GROUP:
        raise _bad(f"Arm resource {group} is invalid or in a different subscription as alert rule.")


def _bad(message: str) -> AzureError:
    return AzureError("BadRequest", message)
