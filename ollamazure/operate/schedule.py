"""Whether a stack's machine is off because its working hours are over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from ollamazure.azure.az import AzError
from ollamazure.azure.power import StackMachine
from ollamazure.operate.pulumi import EMULATED, PROJECT
from ollamazure.settings.working_hours import WorkingHours

AZ_EMULATED = str(PROJECT / "bin" / "az-local")
STOPPED_BY_SCHEDULE = 3
"""The exit code of a command that queries a machine that is off by its schedule."""


def machine_of(stack: str, pulumi: str) -> StackMachine:
    """The machine of a stack that this Pulumi CLI has; raises AzError."""
    return StackMachine.of(stack, PROJECT, AZ_EMULATED if pulumi == EMULATED else "az")


def hours_of(outputs: Mapping[str, Any]) -> WorkingHours | None:
    """The working hours that a stack was deployed with."""
    hours = outputs.get("workingHours")
    return WorkingHours.model_validate(hours) if hours else None


def next_start(outputs: Mapping[str, Any], now: datetime) -> str | None:
    """When the schedule next starts the machine, in words; None without one.

    Of a time zone that this computer does not know, these are the working hours themselves.
    """
    hours = hours_of(outputs)
    if hours is None:
        return None
    try:
        return f"on {hours.next_start(now):%A %Y-%m-%d at %H:%M} ({hours.time_zone})"
    except ZoneInfoNotFoundError:
        return f"in its working hours ({hours})"


def stopped_by_schedule(
    stack: str, pulumi: str, outputs: Mapping[str, Any], now: datetime
) -> str | None:
    """What to say of a machine that is off because its hours are over; None of any other.

    Azure is queried only outside the hours. If it does not answer, nothing is known.
    """
    hours = hours_of(outputs)
    try:
        if hours is None or hours.include(now):
            return None
        state = machine_of(stack, pulumi).state()
    except (AzError, ZoneInfoNotFoundError):
        return None
    if state in ("running", "starting"):
        return None
    return (
        f"The machine is off outside its working hours ({hours}), and the schedule starts it "
        f"{next_start(outputs, now)}. Now: bin/ollamazure start --stack {stack}"
    )
