"""A machine with working hours: its timers, and what each command does while it is off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.test_operations import rows, run

TIMERS = ("apt-daily", "apt-daily-upgrade", "ollamazure-cleanup", "ollamazure-backup")


@pytest.fixture
def deployed(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment, with hours on a day that is neither today, yesterday nor tomorrow."""
    day = f"{datetime.now(UTC) + timedelta(days=3):%A}".lower()
    values = {"days[0]": day, "start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}
    deployment.up(**{f"workingHours.{key}": value for key, value in values.items()})
    yield deployment
    run(deployment, "start", "--yes")
    deployment.forget()
    deployment.pulumi("config", "rm", "ollamazure:workingHours", check=False)
    deployment.up()


@pytest.mark.long
def test_a_machine_that_is_off_outside_its_hours(deployed: Deployment) -> None:
    day = f"{datetime.now(UTC) + timedelta(days=3):%a}"
    for timer in TIMERS:
        calendar = deployed.ssh(f"systemctl show {timer}.timer --property TimersCalendar").output
        # Nothing else is left of the times that Debian and the first boot set.
        assert calendar.count("OnCalendar=") == 1, calendar
        assert f"OnCalendar={day} *-*-* 1" in calendar, calendar
        assert "Europe/Paris" in calendar, calendar
    restart = deployed.ssh("systemctl show ollamazure-restart.timer --property LoadState")
    assert restart.output == "LoadState=not-found\n", "each start is a restart"
    assert "Hours" in rows(run(deployed, "status").output)

    stopped = run(deployed, "stop", "--yes")
    assert stopped.code == 0, stopped.output
    assert "goes on billing disks and addresses" in stopped.output
    assert "The machine is stopped." in stopped.output
    assert "already stopped" in run(deployed, "stop", "--yes").output

    shown = run(deployed, "status")
    assert shown.code == 3, shown.output
    assert "local: The machine is off outside its working hours" in shown.output
    assert "at 07:00 (Europe/Paris)" in shown.output
    as_json = run(deployed, "status", "--json")
    assert as_json.code == 3, as_json.output
    assert '"starts": "' in as_json.output
    drift = run(deployed, "drift")
    assert drift.code == 3, drift.output
    assert "No drift: the cloud" in drift.output
    up = deployed.pulumi("up", "--yes", "--skip-preview", check=False)
    assert up.code, up.output
    assert "bin/ollamazure start --stack local" in up.output

    begun = run(deployed, "start", "--yes")
    assert begun.code == 0, begun.output
    assert f"The chat answers: {deployed.outputs['url']}" in begun.output
    deployed.forget()
    wait_until(lambda: bool(deployed.ask("Hello?")), "an answer", patience=300)
    assert run(deployed, "status").code == 0

    deployed.pulumi("config", "rm", "ollamazure:workingHours")
    deployed.up()
    calendar = deployed.ssh("systemctl show ollamazure-cleanup.timer -P TimersCalendar").output
    assert "*-*-* 03:30:00" in calendar
    assert "Europe/Paris" not in deployed.ssh("systemctl show ollamazure-backup.timer").output
    assert run(deployed, "drift").code == 0
