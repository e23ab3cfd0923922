"""The working hours: when they are, and how Azure and systemd read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from emulator.azure.offers import offers
from ollamazure import catalog
from ollamazure.settings.load import parse
from ollamazure.settings.stack import Settings
from ollamazure.settings.working_hours import WorkingHours

TIMES = {"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}


def hours(**given: object) -> WorkingHours:
    return WorkingHours.model_validate({**TIMES, **given})


def settings(**given: object) -> Settings:
    texts = {key: json.dumps(value) for key, value in given.items()}
    return parse({"sshClients": '["203.0.113.7/32"]', **texts})


@pytest.mark.parametrize(
    ("moment", "included", "starts"),
    [
        # A Monday in winter, when Paris is an hour ahead of UTC.
        ("2027-02-01 05:59", False, "2027-02-01 07:00+01:00"),
        ("2027-02-01 06:00", True, "2027-02-02 07:00+01:00"),
        ("2027-02-01 17:59", True, "2027-02-02 07:00+01:00"),
        ("2027-02-01 18:00", False, "2027-02-02 07:00+01:00"),
        # Friday evening and Saturday.
        ("2027-02-05 19:00", False, "2027-02-08 07:00+01:00"),
        ("2027-02-06 10:00", False, "2027-02-08 07:00+01:00"),
        # The weekend of the summer time: an hour less.
        ("2027-03-27 10:00", False, "2027-03-29 07:00+02:00"),
        ("2027-03-29 05:00", True, "2027-03-30 07:00+02:00"),
        ("2027-03-29 04:59", False, "2027-03-29 07:00+02:00"),
    ],
)
def test_when_the_machine_runs(moment: str, included: bool, starts: str) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert hours().include(now) is included
    assert hours().next_start(now) == datetime.fromisoformat(starts)


def test_a_day_on_the_other_side_of_the_date_line() -> None:
    sunday_in_utc = datetime(2027, 2, 7, 19, 0, tzinfo=UTC)  # 08:00 on Monday in Auckland
    assert hours(timeZone="Pacific/Auckland").include(sunday_in_utc)


@pytest.mark.parametrize(
    ("days", "words", "pause"),
    [
        (["monday", "tuesday", "wednesday", "thursday", "friday"], "Monday to Friday", 3),
        (["friday", "monday"], "Monday, Friday", 4),
        (["saturday", "sunday"], "Saturday, Sunday", 6),
        (["wednesday"], "Wednesday", 7),
    ],
)
def test_days_in_words_and_the_longest_pause(days: list[str], words: str, pause: int) -> None:
    assert str(hours(days=days)) == f"{words}, 07:00 to 19:00, Europe/Paris"
    assert hours(days=days).longest_pause == timedelta(days=pause)
    assert hours(days=days).hours_a_week == 12 * len(days)


def test_days_in_capitals_and_times_that_yaml_reads_as_numbers() -> None:
    given = hours(days=["Monday", " TUESDAY "], end=19 * 60 + 30)
    assert given.days == ("monday", "tuesday")
    assert given.end == "19:30"


def test_without_hours_a_backup_is_made_at_night() -> None:
    assert settings().backup_calendar == "*-*-* 02:30:00 UTC"
    assert settings(backup={"time": "01:00"}).backup_calendar == "*-*-* 01:00:00 UTC"


def test_with_hours_a_backup_is_made_before_their_end() -> None:
    days = "Mon,Tue,Wed,Thu,Fri"
    assert settings(workingHours=TIMES).backup_calendar == f"{days} *-*-* 17:00:00 Europe/Paris"
    given = settings(workingHours=TIMES, backup={"time": "07:00"})
    assert given.backup_calendar == f"{days} *-*-* 07:00:00 Europe/Paris"
    shortest = settings(workingHours={**TIMES, "end": "10:00"})
    assert shortest.backup_calendar == f"{days} *-*-* 08:00:00 Europe/Paris"


def test_a_backup_that_is_off_has_any_time() -> None:
    assert settings(workingHours=TIMES, backup={"target": "off", "time": "02:30"})


def test_azure_knows_each_time_zone_of_the_catalog() -> None:
    zones = catalog.time_zones()
    assert {*zones.values()} <= offers().time_zones
    assert {*zones} <= available_timezones()


def test_zones_with_one_name_in_azure_have_the_same_time() -> None:
    moments = [datetime(2027, 1, 15, tzinfo=UTC) + timedelta(days=7 * week) for week in range(53)]
    by_name: dict[str, tuple[object, ...]] = {}
    for zone, name in catalog.time_zones().items():
        offsets = tuple(moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in moments)
        assert by_name.setdefault(name, offsets) == offsets, zone
