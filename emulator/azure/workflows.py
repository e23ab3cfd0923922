"""Workflows of Azure Logic Apps that send requests on a schedule. Here no clock runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from emulator.azure.errors import AzureError, not_emulated
from emulator.azure.identities import check_identity, show_identity
from emulator.azure.kinds import PutRequest, ResourceKind, keep, now
from emulator.azure.names import ResourceId
from emulator.azure.offers import offers
from emulator.azure.store import Body, StoredState

SCHEMA = re.compile(
    r"https://schema\.management\.azure\.com/providers/Microsoft\.Logic/schemas"
    r"/2016-06-01/workflowdefinition\.json#"
)
RECURRENCE = frozenset({"frequency", "interval", "startTime", "endTime", "timeZone", "schedule"})
DAYS = frozenset(
    {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"},
)


class Workflow(ResourceKind):
    """A workflow with recurrences as triggers and requests as actions.

    Codes and messages: github.com/MicrosoftDocs/azure-docs/issues/53192 (InvalidTemplate),
    github.com/microsoft/finops-toolkit/issues/1995 (InvalidWorkflowTriggerRecurrence, of Data
    Factory, which has the same triggers), github.com/Azure/LogicAppsUX/issues/9010 (a start in
    UTC). InvalidWorkflowTriggerRecurrenceSchedule answers days beside the frequency Hour. Of
    InvalidWorkflowManagedIdentitySpecified the code is known, and the message is not.
    """

    def put(self, request: PutRequest) -> None:
        check_identity(request)
        definition = request.properties.get("definition")
        if not isinstance(definition, dict) or not SCHEMA.fullmatch(definition.get("$schema", "")):
            raise _template("The template's '$schema' property is missing or unknown.")
        for name, trigger in _parts(definition, "triggers"):
            if trigger.get("type") != "Recurrence":
                raise not_emulated(f"A trigger of the type {trigger.get('type')}", "triggers")
            _check_recurrence(name, trigger.get("recurrence") or {})
        for name, action in _parts(definition, "actions"):
            if action.get("type") != "Http":
                raise not_emulated(f"An action of the type {action.get('type')}", "actions")
            _check_authentication(request, name, action)
        request.properties.setdefault("state", "Enabled")
        keep(request, "createdTime", now)
        request.properties["changedTime"] = now()

    def view(self, state: StoredState, id_: ResourceId, body: Body) -> None:
        show_identity(state, body)


def _parts(definition: Body, kind: str) -> Iterator[tuple[str, Body]]:
    parts = definition.get(kind)
    if not isinstance(parts, dict) or not parts:
        raise not_emulated(f"A workflow without {kind}", kind)
    yield from parts.items()


def _check_recurrence(name: str, recurrence: Body) -> None:
    unknown = sorted(set(recurrence) - RECURRENCE)
    if unknown:
        raise _template(
            f"The template trigger '{name}' is not valid: \"Could not find member '{unknown[0]}' on"
            " object of type 'FlowRecurrence'."
        )
    _check_zone(name, recurrence)
    schedule = recurrence.get("schedule") or {}
    frequency = recurrence.get("frequency")
    allowed = {"Week": {"weekDays", "hours", "minutes"}, "Day": {"hours", "minutes"}}
    if set(schedule) - allowed.get(str(frequency), set()):
        raise _schedule(name, f"recurrence frequency '{frequency}'")
    for part, possible in (("weekDays", DAYS), ("hours", range(24)), ("minutes", range(60))):
        for value in schedule.get(part, []):
            if value not in possible:
                raise _schedule(name, f"value '{value}' in '{part}'")


def _check_zone(name: str, recurrence: Body) -> None:
    zone, start = recurrence.get("timeZone"), recurrence.get("startTime")
    if zone is not None and zone not in offers().time_zones:
        raise _recurrence(name, f"time zone '{zone}'")
    # A start has no offset of its own beside a time zone, and Z without one.
    in_utc = zone in (None, "UTC")
    if start is not None and (not _is_moment(start) or start.endswith("Z") != in_utc):
        raise _recurrence(name, f"start time '{start}'")


def _is_moment(text: str) -> bool:
    try:
        datetime.strptime(text.removesuffix("Z"), "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return False
    return True


def _check_authentication(request: PutRequest, name: str, action: Any) -> None:
    """Whether the identity that a request signs in as is one of the workflow's own."""
    used = ((action.get("inputs") or {}).get("authentication") or {}).get("identity")
    identity = request.body.get("identity") or {}
    own = {each.lower() for each in identity.get("userAssignedIdentities") or {}}
    if used is not None and used.lower() not in own:
        raise AzureError(
            "InvalidWorkflowManagedIdentitySpecified",
            f"The managed identity '{used}' of action '{name}' is not one of those of workflow"
            f" '{request.id.name}'.",
        )


def _template(message: str) -> AzureError:
    return AzureError("InvalidTemplate", f"The template validation failed: '{message}'")


def _recurrence(name: str, what: str) -> AzureError:
    return AzureError(
        "InvalidWorkflowTriggerRecurrence",
        f"The recurrence of trigger '{name}' has an invalid {what}.",
    )


def _schedule(name: str, what: str) -> AzureError:
    return AzureError(
        "InvalidWorkflowTriggerRecurrenceSchedule",
        f"The recurrence schedule of trigger '{name}' has an invalid {what}.",
    )
