"""The hours in which the machine runs; outside them Azure stops it, and bills no machine."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from ollamazure import catalog
from ollamazure.settings.base import Section, setting
from ollamazure.settings.problems import did_you_mean, hint, refusal
from ollamazure.settings.types import TimeOfDay

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Annotated[
    Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value),
]
# The machine's own work of a day fits into the shortest hours, before their end.
SHORTEST, LONGEST = timedelta(hours=3), timedelta(hours=23)
# How long before the end each starts, at the earliest; the random delay of each is 30 minutes.
EXPIRE_CHATS, PACKAGE_LISTS, BACKUP, UPGRADES, CLEANUP = (
    timedelta(minutes=minutes) for minutes in (180, 150, 120, 90, 60)
)
# Of a backup before the end: its random delay, and time to make it.
LEAST_FOR_BACKUP = timedelta(hours=1)


def _time_zone(value: str) -> str:
    known = catalog.time_zones()
    if value in known:
        return value
    same = [zone for zone, windows in known.items() if windows.lower() == value.lower()]
    near = same[0] if same else did_you_mean(value, known)
    reason = f"ollamazure/catalog/time_zones.yaml has no such time zone{hint(near)}"
    raise refusal(reason, instead=near)


TimeZone = Annotated[str, AfterValidator(_time_zone)]


class WorkingHours(Section):
    """The hours in which the machine runs; outside them Azure stops it, and bills no machine."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = setting(
        ("monday", "tuesday", "wednesday", "thursday", "friday"),
        description="The days on which the machine runs.",
        allowed="days of the week in English, each once",
        example=["monday", "friday"],
    )
    start: TimeOfDay = setting(
        description="When the machine starts on these days; the chat answers some minutes later.",
        allowed="a time of day, 00:00 to 23:59",
        example="07:00",
    )
    end: TimeOfDay = setting(
        description="When it stops on the same day. Backups and updates run in the last hours "
        "before.",
        allowed="a time of day, 3 to 23 hours after workingHours.start on the same day",
        example="19:00",
    )
    time_zone: TimeZone = setting(
        description="The time zone of these times, which follow its summer time.",
        allowed="a time zone of ollamazure/catalog/time_zones.yaml",
        example="Europe/Paris",
    )

    def __str__(self) -> str:
        days = [day for day in WEEKDAYS if day in self.days]
        first, last = WEEKDAYS.index(days[0]), WEEKDAYS.index(days[-1])
        names = [day.capitalize() for day in days]
        in_a_row = len(days) > 2 and last - first == len(days) - 1
        which = f"{names[0]} to {names[-1]}" if in_a_row else ", ".join(names)
        return f"{which}, {self.start} to {self.end}, {self.time_zone}"

    @property
    def length(self) -> timedelta:
        """From start to end; negative if the end is first."""
        return _since_midnight(self.end) - _since_midnight(self.start)

    @property
    def hours_a_week(self) -> float:
        """The hours of a week in which the machine runs."""
        return len(set(self.days)) * self.length / timedelta(hours=1)

    @property
    def windows_time_zone(self) -> str:
        """The name that Azure has for the time zone."""
        return catalog.time_zones()[self.time_zone]

    def before_end(self, duration: timedelta) -> str:
        """The time of day, such as 17:00, at this duration before the end."""
        return _text_of(_since_midnight(self.end) - duration)

    def after_start(self, duration: timedelta) -> str | None:
        """The time of day at this duration after the start; None if it is on the next day."""
        after = _since_midnight(self.start) + duration
        return _text_of(after) if after < timedelta(days=1) else None

    def calendar(self, time_of_day: str) -> str:
        """This time on each of the days, as systemd's OnCalendar= reads it."""
        days = ",".join(day[:3].capitalize() for day in WEEKDAYS if day in self.days)
        return f"{days} *-*-* {time_of_day}:00 {self.time_zone}"

    def has_time_for_backup(self, time_of_day: str) -> bool:
        """Whether a backup that starts at this time, or up to half an hour later, ends in time."""
        begun, end = _since_midnight(time_of_day), _since_midnight(self.end)
        return _since_midnight(self.start) <= begun <= end - LEAST_FOR_BACKUP

    def include(self, moment: datetime) -> bool:
        """Whether the machine should run at this moment.

        Raises:
            zoneinfo.ZoneInfoNotFoundError: this computer has no data of the time zone.
        """
        local = moment.astimezone(ZoneInfo(self.time_zone))
        today = WEEKDAYS[local.weekday()] in self.days
        return today and _as_time(self.start) <= local.time() < _as_time(self.end)

    def next_start(self, moment: datetime) -> datetime:
        """When the machine next starts after this moment, in the time zone of the hours.

        Raises:
            zoneinfo.ZoneInfoNotFoundError: this computer has no data of the time zone.
        """
        zone = ZoneInfo(self.time_zone)
        local = moment.astimezone(zone)
        starts = (
            datetime.combine(local.date() + timedelta(days=ahead), _as_time(self.start), zone)
            for ahead in range(8)
        )
        return next(
            start for start in starts if start > local and WEEKDAYS[start.weekday()] in self.days
        )

    @property
    def longest_pause(self) -> timedelta:
        """The longest time between the same time of day on two of the days."""
        indexes = sorted({WEEKDAYS.index(day) for day in self.days})
        following = [*indexes[1:], indexes[0] + len(WEEKDAYS)]
        return timedelta(
            days=max(after - day for day, after in zip(indexes, following, strict=True))
        )


def days_between_backups(hours: WorkingHours | None) -> int:
    """The days between two daily backups: one, or over the days without working hours."""
    return hours.longest_pause.days if hours else 1


def _as_time(time_of_day: str) -> time:
    return time.fromisoformat(time_of_day)


def _text_of(since_midnight: timedelta) -> str:
    hours, minutes = divmod(since_midnight // timedelta(minutes=1), 60)
    return f"{hours:02}:{minutes:02}"


def _since_midnight(time_of_day: str) -> timedelta:
    at = _as_time(time_of_day)
    return timedelta(hours=at.hour, minutes=at.minute)
