"""When the machine may restart for updates, which Debian installs by itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ollamazure.settings.base import Section, setting
from ollamazure.settings.types import TimeOfDay, Whole, one_of
from ollamazure.settings.working_hours import WEEKDAYS

DAYS = tuple(map(str.capitalize, WEEKDAYS))
Day = Annotated[str, one_of(lambda: DAYS, "day of the week")]


def _in_order(days: tuple[str, ...]) -> tuple[str, ...]:
    """Each day once, in the order of the week: a repetition changes nothing."""
    return tuple(day for day in DAYS if day in days)


class RestartWindow(Section):
    """When the machine may restart for updates that need it, such as a new kernel."""

    enabled: bool = setting(
        True,
        description="Whether the machine restarts by itself. false: updates are installed all the "
        "same, and `status` reports that they need a restart. With workingHours each start of the "
        "machine is one, and it never restarts within them.",
        allowed="true or false",
        example=False,
    )
    days: Annotated[
        tuple[Day, ...], Field(min_length=1, max_length=7), AfterValidator(_in_order)
    ] = setting(
        DAYS,
        description="Days of the week on which the window opens, in UTC.",
        allowed="one to seven of Monday to Sunday, and only if restartWindow.enabled is true "
        "and workingHours is not set",
        example=["Saturday", "Sunday"],
    )
    time: TimeOfDay = setting(
        "04:00",
        description="When the window opens, in UTC.",
        allowed="a time of day, 00:00 to 23:59, and only if restartWindow.enabled is true "
        "and workingHours is not set",
        example="22:00",
    )
    hours: Annotated[Whole, Field(ge=1, le=12)] = setting(
        2,
        description="How long the window is open. A restart waits in it for answers of models, "
        "and never cuts a backup or a deployment.",
        allowed="1 to 12, and only if restartWindow.enabled is true and workingHours is not set",
        example=4,
    )
