"""What `ollamazure status` prints about a machine. A real one: tests/e2e/test_operations.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ollamazure import catalog
from ollamazure.operate.pulumi import PROJECT, OperateError
from ollamazure.operate.status import ChatStatus, check_url, span
from ollamazure.settings.groups import EXAMPLE_AUTHORITY
from tests.unit.guest.test_chat_answers import Server, certificate, server, serving

__all__ = ["certificate", "server"]  # fixtures
PINS = catalog.versions()
WEBUI = f"ghcr.io/open-webui/open-webui:{PINS.open_webui.tag}"
NGINX = f"docker.io/library/nginx:{PINS.nginx.tag}"
NOW = datetime(2027, 2, 1, 12, 0, tzinfo=UTC)
GIB = 2**30
DAY = 24 * 3600
OUTPUTS = {
    "url": "https://chat.example",
    "certificateMode": "selfSigned",
    "vmSize": "Standard_B2ms",
}
WELL: dict[str, Any] = {
    "booted": datetime(2027, 1, 28, 9, 12, tzinfo=UTC).timestamp(),
    "load": 0.421,
    "processors": 2,
    "memory": {"total": 8 * GIB, "free": 3 * GIB},
    "data_disk": {"total": 64 * GIB, "free": 41 * GIB, "full": False, "largest": []},
    "system_disk": {"total": 32 * GIB, "free": 20 * GIB, "full": False, "largest": []},
    "services": [
        {"name": "ollama", "state": "active", "version": PINS.ollama.version},
        {
            "name": "open-webui",
            "state": "active",
            "version": WEBUI,
        },
        {"name": "nginx", "state": "active", "version": NGINX},
    ],
    "container_dns": True,
    "models": ["llama3.2:1b", "smollm2:135m"],
    "loaded": ["llama3.2:1b"],
    "declared_models": ["llama3.2:1b", "smollm2:135m"],
    "failed_units": [],
    "debian": "13.1",
    "kernel": "6.12.48+deb13-cloud-amd64",
    "certificate_starts": "2026-06-01 09:12:00Z",
    "certificate_ends": "2027-06-01 09:12:00Z",
    "authority_ends": "2036-01-01 00:00:00Z",
    "backup": {
        "since": datetime(2027, 1, 1, tzinfo=UTC).timestamp(),
        "saved": datetime(2027, 2, 1, 2, 40, tzinfo=UTC).timestamp(),
        "seconds": 12,
        "size": 3 * GIB // 2,
        "problem": "",
        "checked": datetime(2027, 1, 30, 2, 40, tzinfo=UTC).timestamp(),
        "check_problem": "",
    },
    "webhook": None,
    "reboot_pending": False,
    "reboot_packages": [],
    "findings": [],
    "now": NOW.timestamp() + 30,
}
NGINX_STOPPED = {
    "id": "service.nginx",
    "problem": "Nginx is stopped.",
    "fix": "Start it.",
    "detail": "",
    "severe": False,
}


def status_of(facts: dict[str, Any], url_problem: str | None = None) -> ChatStatus:
    return ChatStatus("dev", OUTPUTS, facts, url_problem, NOW)


def test_all_is_well_on_one_screen() -> None:
    assert status_of(WELL).render() == (
        "dev: healthy\n"
        "\n"
        "Chat         https://chat.example answers\n"
        "Machine      Standard_B2ms, up 4 days, since 2027-01-28 09:12 UTC\n"
        "System       Debian 13.1, Linux 6.12.48+deb13-cloud-amd64\n"
        "Load         0.42 of 2 processors, over five minutes\n"
        "Memory       3.0 of 8.0 GiB free\n"
        "Data disk    41.0 of 64.0 GiB free\n"
        "System disk  20.0 of 32.0 GiB free\n"
        f"Ollama       runs, {PINS.ollama.version}\n"
        f"Open WebUI   runs, {WEBUI}\n"
        f"Nginx        runs, {NGINX}\n"
        "Failed units none\n"
        "Models       llama3.2:1b (in memory), smollm2:135m\n"
        "Certificate  until 2027-06-01, 119 days from now\n"
        "Authority    until 2036-01-01, 3255 days from now\n"
        "Backup       9 hours ago, 1.5 GiB, checked 2 days ago\n"
        "Restart      not needed"
    )


def test_what_the_machine_found_is_below_the_screen() -> None:
    status = status_of(WELL | {"findings": [NGINX_STOPPED]}, "does not answer: timed out")
    screen = status.render()
    assert screen.startswith("dev: not healthy\n")
    assert screen.endswith("\n\nThe chat does not answer: timed out.\nNginx is stopped. Start it.")
    assert [each["id"] for each in status.problems()] == ["chat", "service.nginx"]


def test_an_operator_reads_what_other_programs_reported() -> None:
    failed = {**NGINX_STOPPED, "detail": "Nginx is stopped: no space."}
    assert (
        status_of(WELL | {"findings": [failed]}).render().endswith("stopped: no space. Start it.")
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (
            DAY,
            "The machine's clock is 24 hours ahead of this computer's. If the machine's is wrong, "
            "`bin/ollamazure ssh --stack dev sudo systemctl restart chrony` sets it",
        ),
        (-DAY, "The machine's clock is 24 hours behind this computer's."),
    ],
)
def test_clocks_that_differ_are_named(seconds: int, words: str) -> None:
    status = status_of(WELL | {"now": NOW.timestamp() + seconds})
    assert [each["id"] for each in status.problems()] == ["clock"]
    assert status.render().splitlines()[-1].startswith(words)


@pytest.mark.parametrize(
    ("packages", "words"),
    [(["linux-image-6.12", "libc6"], "linux-image-6.12, libc6"), ([], "updates")],
)
def test_a_restart_is_shown_with_what_asks_for_it_and_is_no_problem(
    packages: list[str], words: str
) -> None:
    status = status_of(WELL | {"reboot_pending": True, "reboot_packages": packages})
    assert status.render().startswith("dev: healthy\n")
    reboot = "`bin/ollamazure ssh --stack dev sudo reboot`"
    assert status.render().endswith(f"\nRestart      needed for {words}: {reboot}")
    assert status.to_json()["restart"] == {"needed": True, "packages": packages}


@pytest.mark.parametrize(
    ("accepted", "words"),
    [(0, "no report yet"), (NOW.timestamp() - 3600, "last report 60 min ago")],
)
def test_a_webhook_has_a_row(accepted: float, words: str) -> None:
    facts = WELL | {"webhook": {"accepted": accepted, "failing": 0, "reason": ""}}
    assert f"\nWebhook      {words}\n" in status_of(facts).render()


def test_a_stopped_ollama_hides_no_model() -> None:
    silent = WELL | {"models": None, "loaded": None}
    assert "Models       unknown, Ollama does not answer\n" in status_of(silent).render()


# What machines of the version before this one report.
EARLIER = {
    name: value
    for name, value in WELL.items()
    if name
    not in {
        "authority_ends",
        "debian",
        "declared_models",
        "failed_units",
        "findings",
        "kernel",
        "reboot_packages",
        "webhook",
    }
}


def test_a_machine_of_an_earlier_version_is_shown_and_asks_for_an_update() -> None:
    status = status_of(EARLIER)
    assert "\nData disk    41.0 of 64.0 GiB free\n" in status.render()
    assert status.render().endswith("known. `pulumi up --stack dev` updates them.")
    with pytest.raises(OperateError, match="earlier version"):
        status.to_json()


def test_the_json_is_as_the_page_documents_it() -> None:
    """Every name, and its order; docs/reference/status.md shows an example."""
    page = (PROJECT / "docs" / "reference" / "status.md").read_text()
    documented = json.loads(page.split("```json\n")[1].split("```")[0])
    given = status_of(
        WELL
        | {
            "findings": [NGINX_STOPPED],
            "webhook": {"accepted": NOW.timestamp() - DAY, "failing": 0, "reason": ""},
            "reboot_pending": True,
            "reboot_packages": ["linux-image-6.12"],
        }
    ).to_json()
    assert shape(given) == shape(documented)


def shape(value: Any) -> Any:
    """The names and types within a value of JSON."""
    match value:
        case dict():
            return {name: shape(inner) for name, inner in value.items()}
        case list():
            return [shape(value[0])] if value else []
    return type(value).__name__


def test_without_a_problem_the_json_is_healthy() -> None:
    well = status_of(WELL).to_json()
    assert (well["healthy"], well["problems"]) == (True, [])
    assert well["disks"]["data"] == {"totalBytes": 64 * GIB, "freeBytes": 41 * GIB}
    assert well["certificate"]["days"] == 119
    ill = status_of(WELL | {"data_disk": None, "backup": None}, "does not answer").to_json()
    assert (ill["healthy"], ill["disks"]["data"], ill["backup"]) == (False, None, None)
    assert ill["problems"] == [{"id": "chat", "problem": "The chat does not answer.", "fix": ""}]


@pytest.mark.parametrize(
    ("minutes", "words"), [(1, "1 min"), (119, "119 min"), (120, "2 hours"), (2 * 1440, "2 days")]
)
def test_spans(minutes: int, words: str) -> None:
    assert span(timedelta(minutes=minutes, seconds=59)) == words


def test_the_url_is_checked_by_authority_name_and_fingerprint(server: Server) -> None:
    server.answers["/health"] = (200, {"status": True})
    url = f"https://127.0.0.1:{server.port}"
    trust = {"system": False, "authorities": server.certificate}
    shown = ":".join(server.fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    assert check_url(url, trust, shown) is None
    assert check_url(url, trust, None) is None
    assert "shows another certificate than the one" in str(check_url(url, trust, "00"))
    other = {"system": False, "authorities": EXAMPLE_AUTHORITY}
    assert "shows another certificate than its own" in str(check_url(url, other, None))
    by_name = url.replace("127.0.0.1", "localhost")
    assert "Hostname mismatch" in str(check_url(by_name, trust, None))


@pytest.mark.parametrize(
    ("begins", "ends", "words"), [(-9, -1, "has expired"), (1, 9, "is not valid yet")]
)
def test_the_url_names_a_certificate_outside_its_time(
    tmp_path: Path, begins: int, ends: int, words: str
) -> None:
    with serving(tmp_path, begins, ends) as server:
        trust = {"system": False, "authorities": server.certificate}
        problem = check_url(f"https://127.0.0.1:{server.port}", trust, None)
    assert problem == f"shows a certificate that {words}"


HOURS = {
    "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "start": "07:00",
    "end": "19:00",
    "timeZone": "Europe/Paris",
}


def test_the_working_hours_are_on_the_screen_and_in_the_json() -> None:
    facts = WELL | {"reboot_pending": True, "backup": {**WELL["backup"], "saved": 0}}
    status = ChatStatus("dev", {**OUTPUTS, "workingHours": HOURS}, facts, None, NOW)
    screen = status.render()
    assert "Hours        Monday to Friday, 07:00 to 19:00, Europe/Paris\n" in screen
    assert "none yet; the first one is made before 19:00\n" in screen
    assert "needed for updates: the next start of the working hours, or now `bin/" in screen
    assert status.to_json()["workingHours"] == HOURS
