"""The working hours: what stops and starts the machine in Azure, and the machine's own timers.

Two workflows of Azure Logic Apps call the machine's own actions.
docs/explanation/decisions/0078-a-schedule-of-logic-apps.md compares the alternatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any

import pulumi
from pulumi_azure_native import authorization, logic, managedidentity, resources

from components.remote_command import TOOLS, File, RemoteCommand, Target, run_on_machine
from components.roles import assign_role
from components.tags import Tags
from ollamazure.names import POWER_ON_OFF, SCHEDULE, VM
from ollamazure.settings.working_hours import CLEANUP, PACKAGE_LISTS, UPGRADES, WorkingHours

MANAGEMENT = "https://management.azure.com"
COMPUTE_API = "2024-11-01"
SCHEMA = (
    "https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01"
    "/workflowdefinition.json#"
)
# Without a start in the past, Azure runs a workflow as soon as it is created.
BEGINNING = "2026-01-01T00:00:00"
# The timers that the hours move, and how long before their end.
TIMERS = {"apt-daily": PACKAGE_LISTS, "apt-daily-upgrade": UPGRADES, "ollamazure-cleanup": CLEANUP}


@dataclass(frozen=True)
class ScheduleArgs:
    """What the schedule is made from.

    Attributes:
        hours: in which the machine runs.
        location: the region of the machine.
        group: the machine's resource group.
        group_name: its name.
        target: the machine.
        tags: of each resource.
    """

    hours: WorkingHours
    location: str
    group: resources.ResourceGroup
    group_name: str
    target: Target
    tags: Tags


class Schedule(pulumi.ComponentResource):
    """The machine runs in its working hours only, and does its own work in them."""

    def __init__(
        self, name: str, args: ScheduleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Schedule", name, None, opts)
        self._args = args
        self._subscription = authorization.get_client_config().subscription_id
        group = f"/subscriptions/{self._subscription}/resourceGroups/{args.group_name}"
        providers = f"{group}/providers"
        # Written rather than read from the resources: an update of the machine previews with
        # unknown outputs, and then the schedule would preview as changed too.
        self._vm_id = f"{providers}/Microsoft.Compute/virtualMachines/{VM}"
        self._identity_id = (
            f"{providers}/Microsoft.ManagedIdentity/userAssignedIdentities/{SCHEDULE}"
        )
        identity = self._identity()
        access = self._access(identity)
        for action, operation, at in (
            ("start", "start", args.hours.start),
            ("stop", "deallocate", args.hours.end),
        ):
            self._workflow(action, operation, at, access)
        self._timers()
        self.register_outputs({})

    def _identity(self) -> managedidentity.UserAssignedIdentity:
        args = self._args
        return managedidentity.UserAssignedIdentity(
            "schedule-identity",
            resource_name_=SCHEDULE,
            resource_group_name=args.group.name,
            location=args.location,
            tags=args.tags.of(
                managedidentity.get_user_assigned_identity,
                resource_name=SCHEDULE,
                resource_group_name=args.group_name,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _access(
        self, identity: managedidentity.UserAssignedIdentity
    ) -> authorization.RoleAssignment:
        """The workflows' right to start and stop the machine, and no more."""
        vm = self._args.target.vm
        # As in backup_storage.py: a new tag of the identity must not replace the assignment.
        found = managedidentity.get_user_assigned_identity_output(
            resource_group_name=self._args.group_name,
            resource_name=SCHEDULE,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[identity]),
        )
        return assign_role(
            "schedule-access",
            role=POWER_ON_OFF,
            scope=self._vm_id,
            subscription=self._subscription,
            principal_id=found.principal_id,
            seed=f"{self._vm_id}/{SCHEDULE}",
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[vm],
                # Azure deletes what is assigned on a machine with the machine.
                replace_with=[vm],
            ),
        )

    def _workflow(
        self, action: str, operation: str, at: str, access: authorization.RoleAssignment
    ) -> None:
        args = self._args
        name = f"{VM}-{action}"
        logic.Workflow(
            f"schedule-{action}",
            workflow_name=name,
            resource_group_name=args.group.name,
            location=args.location,
            state=logic.WorkflowState.ENABLED,
            identity=logic.ManagedServiceIdentityArgs(
                type=logic.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[self._identity_id],
            ),
            definition=self._definition(action, operation, at),
            tags=args.tags.of(
                logic.get_workflow, workflow_name=name, resource_group_name=args.group_name
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[access]),
        )

    def _definition(self, action: str, operation: str, at: str) -> Mapping[str, Any]:
        """The workflow in Azure's own language: at this time of the days, call this operation."""
        hours = self._args.hours
        inside = action == "start"
        return {
            "$schema": SCHEMA,
            "contentVersion": "1.0.0.0",
            "triggers": {
                "hours": {
                    "type": "Recurrence",
                    "recurrence": _recurrence(hours, at),
                    # A run that comes late, after a failure of Azure's, must not stop the machine
                    # while people work, nor start it for the night.
                    "conditions": [{"expression": _condition(hours, inside=inside)}],
                }
            },
            "actions": {
                action: {
                    "type": "Http",
                    "inputs": {
                        "method": "POST",
                        "uri": f"{MANAGEMENT}{self._vm_id}/{operation}?api-version={COMPUTE_API}",
                        "authentication": {
                            "type": "ManagedServiceIdentity",
                            "identity": self._identity_id,
                            "audience": f"{MANAGEMENT}/",
                        },
                    },
                    "runAfter": {},
                }
            },
        }

    def _timers(self) -> RemoteCommand:
        """Moves the machine's own work into the hours."""
        hours = self._args.hours
        return run_on_machine(
            "working-hours",
            self._args.target,
            purpose="move updates and the cleanup into the working hours",
            script=f"{TOOLS}/working-hours on\n",
            files=[
                File(f"{TOOLS}/working-hours", "0755"),
                *(
                    File(
                        f"/etc/systemd/system/{timer}.timer.d/ollamazure-hours.conf",
                        values={"calendar": hours.calendar(hours.before_end(before))},
                    )
                    for timer, before in TIMERS.items()
                ),
            ],
            delete=f"{TOOLS}/working-hours off",
            opts=pulumi.ResourceOptions(parent=self),
        )


def _recurrence(hours: WorkingHours, at: str) -> Mapping[str, Any]:
    moment = time.fromisoformat(at)
    zone = hours.windows_time_zone
    # Azure refuses the zone UTC with a start, and wants a Z instead.
    begins = (
        {"startTime": f"{BEGINNING}Z"}
        if zone == "UTC"
        else {"startTime": BEGINNING, "timeZone": zone}
    )
    return {
        "frequency": "Week",
        "interval": 1,
        **begins,
        "schedule": {
            "weekDays": [day.capitalize() for day in hours.days],
            "hours": [moment.hour],
            "minutes": [moment.minute],
        },
    }


def _condition(hours: WorkingHours, *, inside: bool) -> str:
    """Whether the time of day is within the hours or not, as an expression of Logic Apps."""
    now = f"convertFromUtc(utcNow(), '{hours.windows_time_zone}', 'HH:mm')"
    before, after = f"less({now}, '{hours.start}')", f"greaterOrEquals({now}, '{hours.end}')"
    outside = f"or({before}, {after})"
    return f"@not({outside})" if inside else f"@{outside}"
