"""What `ollamazure status` prints about a machine. A real one: tests/e2e/test_operations.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ollamazure import catalog
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
NO_FILES = {
    "total": 4000,
    "free": 3,
    "full": True,
    "largest": [["/srv/data/containers/volumes", 3900], ["/srv/data/x", 1]],
}
OUTPUTS = {
    "url": "https://chat.example",
    "certificateMode": "selfSigned",
    "caCertificate": EXAMPLE_AUTHORITY,
    "vmSize": "Standard_B2ms",
    "models": ["llama3.2:1b", "smollm2:135m"],
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
    "certificate_starts": "2026-06-01 09:12:00Z",
    "certificate_ends": "2027-06-01 09:12:00Z",
    "backup": {
        "since": datetime(2027, 1, 1, tzinfo=UTC).timestamp(),
        "saved": datetime(2027, 2, 1, 2, 40, tzinfo=UTC).timestamp(),
        "seconds": 12,
        "size": 3 * GIB // 2,
        "problem": "",
        "checked": datetime(2027, 1, 30, 2, 40, tzinfo=UTC).timestamp(),
        "check_problem": "",
    },
    "reboot_pending": False,
    "ended_models": {"count": 0, "last": 0, "memory": False},
    "now": NOW.timestamp() + 30,
}

OLD = datetime(2027, 1, 31, 9, 0, tzinfo=UTC).timestamp()


def backup(**changes: Any) -> dict[str, Any]:
    return {"backup": {**WELL["backup"], **changes}}


def status_of(facts: dict[str, Any]) -> ChatStatus:
    return ChatStatus("dev", OUTPUTS, facts, None, NOW)


def test_all_is_well_on_one_screen() -> None:
    assert status_of(WELL).render() == (
        "dev: healthy\n"
        "\n"
        "Chat         https://chat.example answers\n"
        "Machine      Standard_B2ms, up 4 days, since 2027-01-28 09:12 UTC\n"
        "Load         0.42 of 2 processors, over five minutes\n"
        "Memory       3.0 of 8.0 GiB free\n"
        "Data disk    41.0 of 64.0 GiB free\n"
        "System disk  20.0 of 32.0 GiB free\n"
        f"Ollama       runs, {PINS.ollama.version}\n"
        f"Open WebUI   runs, {WEBUI}\n"
        f"Nginx        runs, {NGINX}\n"
        "Models       llama3.2:1b (in memory), smollm2:135m\n"
        "Certificate  until 2027-06-01, 119 days from now\n"
        "Authority    until 2226-01-01, 72651 days from now\n"
        "Backup       9 hours ago, 1.5 GiB, checked 2 days ago\n"
        "Restart      not needed"
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"data_disk": None},
            "The data disk is not mounted, so the chat does not run. If it was detached in Azure: "
            "`pulumi up --refresh --stack dev` attaches it, and the chat starts by itself. If it "
            "is attached: `bin/ollamazure ssh --stack dev sudo ollamazure-data-disk` mounts it, or "
            "states why not.",
        ),
        (
            {
                "data_disk": {
                    "total": 63 * GIB,
                    "free": 6 * GIB,
                    "full": True,
                    "largest": [["/srv/data/ollama", 40 * GIB], ["/srv/data/x", GIB]],
                }
            },
            "The data disk is nearly full: 6.0 of 63.0 GiB free; models 40.0 GiB, /srv/data/x 1.0 "
            "GiB. `bin/ollamazure ssh --stack dev sudo systemctl start ollamazure-cleanup` removes "
            "what is not used; models that leave ollamazure:models are removed. To enlarge it: "
            "`pulumi config set ollamazure:dataDiskGiB 128 --stack dev && pulumi up`.",
        ),
        (
            {
                "system_disk": {
                    "total": 32 * GIB,
                    "free": 3 * GIB,
                    "full": True,
                    "largest": [["/var/log", 4 * GIB]],
                }
            },
            "The system disk is nearly full: 3.0 of 32.0 GiB free; logs 4.0 GiB.",
        ),
        (
            {"data_disk": {"total": 63 * GIB, "free": 0, "full": True, "largest": []}},
            "The data disk is full: 0.0 of 63.0 GiB free. `bin/ollamazure ssh --stack dev sudo",
        ),
        (
            {"data_disk": {**WELL["data_disk"], "files": NO_FILES}},
            "The data disk has no room for many more files: 3 of 4000 inodes free; chats and files "
            "3900, /srv/data/x 1. `bin/ollamazure ssh --stack dev sudo systemctl start ollamazure",
        ),
        (
            {"system_disk": {**WELL["system_disk"], "files": NO_FILES}},
            "The system disk has no room for many more files: 3 of 4000 inodes free",
        ),
        (
            {"ended_models": {"count": 2, "last": OLD, "memory": True}},
            "A model was killed at 2027-01-31 09:00 UTC, usually because memory ran out: answers "
            "broke off. If it happens again, choose a smaller model",
        ),
        (
            {"ended_models": {"count": 2, "last": OLD, "memory": False}},
            "A model broke off an answer at 2027-01-31 09:00 UTC: `bin/ollamazure logs --stack dev "
            "--unit ollama --since 24h` shows why.",
        ),
        (
            {"now": NOW.timestamp() + DAY},
            "The machine's clock is 24 hours ahead of this computer's. If the machine's is wrong, "
            "`bin/ollamazure ssh --stack dev sudo systemctl restart chrony` sets it",
        ),
        ({"now": NOW.timestamp() - DAY}, "The machine's clock is 24 hours behind this computer's."),
        (
            backup(saved=NOW.timestamp() + DAY),
            "The last backup has a time in the future, of a clock that was wrong: `bin/ollamazure "
            "backup --stack dev` makes one now.",
        ),
        (
            {"certificate_starts": "2027-02-02 09:12:00Z"},
            "The certificate is not valid before 2027-02-02 09:12 UTC. If the clocks of this "
            "computer and of the machine are right: `pulumi up` creates a new one.",
        ),
        (
            backup(problem="restic: no."),
            "The last backup failed: restic: no. `bin/ollamazure backup",
        ),
        (backup(saved=OLD), "The last backup is 27 hours old: `bin/ollamazure backup --stack dev`"),
        (backup(saved=0), "The last backup was never made"),
        (backup(check_problem="it differs."), "The check of the backups failed: it differs."),
        (backup(checked=0), "The backups were not checked for more than a week."),
        ({"models": ["llama3.2:1b"]}, "The model smollm2:135m is missing"),
        (
            {"certificate_ends": "2027-01-31 09:12:00Z"},
            "The certificate expired on 2027-01-31: `pulumi up` creates a new one.",
        ),
        (
            {"certificate_ends": "2027-02-20 09:12:00Z"},
            "The certificate expires on 2027-02-20: `pulumi up` creates a new one.",
        ),
        (
            {"acme": {"problem": "There is no certificate yet: port 80.", "fix": "Open it."}},
            "There is no certificate yet: port 80. Open it.",
        ),
        ({"container_dns": False}, "The DNS of the containers (aardvark-dns) does not answer"),
        ({"certificate_ends": None}, "The certificate cannot be read."),
        (
            {"services": [{"name": "nginx", "state": "failed", "version": None}]},
            "Nginx is failed: `bin/ollamazure logs --stack dev --unit nginx` shows why.",
        ),
    ],
)
def test_a_problem_is_named(change: dict[str, Any], problem: str) -> None:
    (named,) = status_of(WELL | change).problems()
    assert named.startswith(problem)
    screen = status_of(WELL | change).render()
    assert screen.startswith("dev: not healthy\n")
    assert screen.endswith(f"\n\n{named}")


def test_an_adopted_disk_is_enlarged_in_azure() -> None:
    full = {"total": 63 * GIB, "free": GIB, "full": True, "largest": []}
    facts = WELL | {"data_disk": full}
    (named,) = ChatStatus("dev", OUTPUTS | {"dataDiskGiB": None}, facts, None, NOW).problems()
    assert named.endswith("enlarge it in Azure, then run `pulumi up`.")


@pytest.mark.parametrize(
    ("mode", "fix"),
    [
        ("selfSigned", "`pulumi up` creates a new one"),
        (
            "letsEncrypt",
            "`bin/ollamazure ssh --stack dev sudo /usr/local/lib/ollamazure/acme_client.py now`",
        ),
        ("provided", "replace it in the settings"),
    ],
)
def test_each_mode_renews_the_certificate_in_its_own_way(mode: str, fix: str) -> None:
    facts = WELL | {"certificate_ends": "2027-02-03 09:12:00Z"}
    status = ChatStatus("dev", OUTPUTS | {"certificateMode": mode}, facts, None, NOW)
    (named,) = status.problems()
    assert f"expires on 2027-02-03: {fix}" in named
    assert ("\nAuthority " in status.render()) == (mode == "selfSigned")


def test_an_authority_that_ends_within_a_year_has_to_be_replaced() -> None:
    ends = datetime(2226, 1, 1, tzinfo=UTC)
    late = ends - timedelta(days=364)
    starts = late - timedelta(days=9)
    validity = {"certificate_starts": f"{starts}", "certificate_ends": f"{ends}", "backup": None}
    facts = WELL | validity | {"now": late.timestamp()}
    (named,) = ChatStatus("dev", OUTPUTS, facts, None, late).problems()
    assert named.startswith("The stack's authority is valid until 2226-01-01")
    assert "docs/how-to/trust-the-authority.md#replace-the-authority" in named
    early = late - timedelta(days=2)
    facts |= {"now": early.timestamp()}
    assert ChatStatus("dev", OUTPUTS, facts, None, early).problems() == []


def test_a_restart_for_a_new_kernel_is_shown_and_is_no_problem() -> None:
    screen = status_of(WELL | {"reboot_pending": True}).render()
    assert screen.startswith("dev: healthy\n")
    assert "bin/ollamazure ssh --stack dev sudo reboot" in screen


def test_a_stopped_ollama_hides_no_model() -> None:
    stopped = {"name": "ollama", "state": "inactive", "version": None}
    silent = WELL | {"models": None, "loaded": None, "services": [stopped]}
    (named,) = status_of(silent).problems()
    assert named.startswith("Ollama is stopped")
    assert "Models       unknown, Ollama does not answer\n" in status_of(silent).render()


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


@pytest.mark.parametrize(("hours_old", "problems"), [(73, 0), (75, 1)])
def test_over_a_weekend_without_working_hours_no_backup_is_missing(
    hours_old: int, problems: int
) -> None:
    saved = (NOW - timedelta(hours=hours_old)).timestamp()
    status = ChatStatus(
        "dev", {**OUTPUTS, "workingHours": HOURS}, {**WELL, **backup(saved=saved)}, None, NOW
    )
    assert len(status.problems()) == problems
    assert "Hours        Monday to Friday, 07:00 to 19:00, Europe/Paris\n" in status.render()
