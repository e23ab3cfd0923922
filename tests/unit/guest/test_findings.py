"""What of a machine needs attention. A real one: tests/e2e/test_operations.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from findings import Checks, MachineFinding

NOW = datetime(2027, 2, 1, 12, 0, tzinfo=UTC)
GIB = 2**30
DAY = 24 * 3600
OLD = datetime(2027, 1, 31, 9, 0, tzinfo=UTC).timestamp()
NO_FILES = {
    "total": 4000,
    "free": 3,
    "full": True,
    "largest": [["/srv/data/containers/volumes", 3900], ["/srv/data/x", 1]],
}
FILES = {"total": 4000, "free": 3000, "full": False, "largest": []}
STACK = {"stack": "dev", "certificateMode": "selfSigned", "dataDiskGiB": 64}
WELL: dict[str, Any] = {
    "booted": datetime(2027, 1, 28, 9, 12, tzinfo=UTC).timestamp(),
    "data_disk": {
        "total": 64 * GIB,
        "free": 41 * GIB,
        "full": False,
        "largest": [],
        "files": FILES,
    },
    "system_disk": {
        "total": 32 * GIB,
        "free": 20 * GIB,
        "full": False,
        "largest": [],
        "files": FILES,
    },
    "services": [
        {"name": "ollama", "state": "active", "version": "0.34.0"},
        {"name": "open-webui", "state": "active", "version": None},
        {"name": "nginx", "state": "active", "version": None},
    ],
    "failed_units": [],
    "container_dns": True,
    "models": ["llama3.2:1b", "smollm2:135m"],
    "loaded": ["llama3.2:1b"],
    "declared_models": ["Llama3.2:1b", "smollm2:135m"],
    "certificate_starts": "2026-06-01 09:12:00Z",
    "certificate_ends": "2027-06-01 09:12:00Z",
    "authority_ends": "2036-06-01 09:12:00Z",
    "acme": None,
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
    "ended_models": {"count": 0, "last": 0, "memory": False},
    "now": NOW.timestamp(),
}


def backup(**changes: Any) -> dict[str, Any]:
    return {"backup": {**WELL["backup"], **changes}}


def disk(**changes: Any) -> dict[str, Any]:
    return {"total": 63 * GIB, "free": GIB, "full": True, "largest": [], "files": FILES, **changes}


def found(change: dict[str, Any], **stack: Any) -> list[MachineFinding]:
    return Checks(WELL | change, STACK | stack).findings()


def test_all_is_well() -> None:
    assert found({}) == []


@pytest.mark.parametrize(
    ("change", "id_", "words"),
    [
        (
            {"data_disk": None},
            "disk.data.missing",
            "The data disk is not mounted, so the chat does not run. If it was detached in Azure: "
            "`pulumi up --refresh --stack dev` attaches it, and the chat starts by itself. If it "
            "is attached: `bin/ollamazure ssh --stack dev sudo ollamazure-data-disk` mounts it, or "
            "states why not.",
        ),
        (
            {
                "data_disk": disk(
                    free=6 * GIB, largest=[["/srv/data/ollama", 40 * GIB], ["/srv/data/x", GIB]]
                )
            },
            "disk.data",
            "The data disk is nearly full: 6.0 of 63.0 GiB free; models 40.0 GiB, /srv/data/x 1.0 "
            "GiB. `bin/ollamazure ssh --stack dev sudo systemctl start ollamazure-cleanup` removes "
            "what is not used; models that leave ollamazure:models are removed. To enlarge it: "
            "`pulumi config set ollamazure:dataDiskGiB 128 --stack dev && pulumi up`.",
        ),
        (
            {"system_disk": disk(total=32 * GIB, free=3 * GIB, largest=[["/var/log", 4 * GIB]])},
            "disk.system",
            "The system disk is nearly full: 3.0 of 32.0 GiB free; logs 4.0 GiB.",
        ),
        (
            {"data_disk": disk(free=0)},
            "disk.data",
            "The data disk is full: 0.0 of 63.0 GiB free. `bin/ollamazure ssh --stack dev sudo",
        ),
        (
            {"data_disk": {**WELL["data_disk"], "files": NO_FILES}},
            "disk.data.files",
            "The data disk has no room for many more files: 3 of 4000 inodes free; chats and files "
            "3900, /srv/data/x 1. `bin/ollamazure ssh --stack dev sudo systemctl start ollamazure",
        ),
        (
            {"system_disk": {**WELL["system_disk"], "files": NO_FILES}},
            "disk.system.files",
            "The system disk has no room for many more files: 3 of 4000 inodes free",
        ),
        (
            {"ended_models": {"count": 2, "last": OLD, "memory": True}},
            "modelEnded",
            "A model was killed at 2027-01-31 09:00 UTC, usually because memory ran out: answers "
            "broke off. If it happens again, choose a smaller model",
        ),
        (
            {"ended_models": {"count": 2, "last": OLD, "memory": False}},
            "modelEnded",
            "A model broke off an answer at 2027-01-31 09:00 UTC. `bin/ollamazure logs --stack dev "
            "--unit ollama --since 24h` shows why.",
        ),
        (
            backup(saved=NOW.timestamp() + DAY),
            "backupAge",
            "The last backup has a time in the future, of a clock that was wrong. `bin/ollamazure "
            "backup --stack dev` makes one now.",
        ),
        (
            {"certificate_starts": "2027-02-02 09:12:00Z"},
            "certificate",
            "The certificate is not valid before 2027-02-02 09:12 UTC. If the clocks of this "
            "computer and of the machine are right: `pulumi up` creates a new one.",
        ),
        (
            backup(problem="restic: no."),
            "backup",
            "The last backup failed: restic: no. `bin/ollamazure backup --stack dev` makes one",
        ),
        (
            backup(saved=OLD),
            "backupAge",
            "The last backup is of 2027-01-31 09:00 UTC. `bin/ollamazure backup --stack dev` makes "
            "one now and shows what prevents it.",
        ),
        (backup(saved=0), "backupAge", "The last backup was never made."),
        (
            backup(check_problem="it differs."),
            "backupCheck",
            "The check of the backups failed: it differs. `bin/ollamazure backup --stack dev "
            "--check` checks again.",
        ),
        (
            backup(checked=0),
            "backupCheckAge",
            "The backups were not checked for more than a week.",
        ),
        (
            {"models": ["llama3.2:1b"]},
            "model.smollm2:135m",
            "The model smollm2:135m is missing. `bin/ollamazure drift --stack dev` shows how",
        ),
        (
            {"certificate_ends": "2027-01-31 09:12:00Z"},
            "certificate",
            "The certificate expired on 2027-01-31. `pulumi up` creates a new one.",
        ),
        (
            {"certificate_ends": "2027-02-20 09:12:00Z"},
            "certificate",
            "The certificate expires on 2027-02-20. `pulumi up` creates a new one.",
        ),
        (
            {"authority_ends": "2028-01-31 09:12:00Z"},
            "authority",
            "The stack's authority is valid until 2028-01-31, and no certificate that it signs is "
            "trusted for longer. Replace it, and let every device trust the new one: "
            "docs/how-to/trust-the-authority.md#replace-the-authority.",
        ),
        (
            {"acme": {"problem": "There is no certificate yet: port 80.", "fix": "Open it."}},
            "acme",
            "There is no certificate yet: port 80. Open it.",
        ),
        (
            {"container_dns": False},
            "containerDns",
            "The DNS of the containers (aardvark-dns) does not answer",
        ),
        ({"certificate_ends": None}, "certificate", "The certificate cannot be read."),
        (
            {"services": [{"name": "nginx", "state": "failed", "version": None}]},
            "service.nginx",
            "Nginx is failed. `bin/ollamazure logs --stack dev --unit nginx` shows why.",
        ),
        (
            {"failed_units": ["a\\x2db.service"]},
            "unit.a\\x2db.service",
            "The systemd unit a\\x2db.service has failed. `bin/ollamazure ssh --stack dev systemctl"
            " status 'a\\x2db.service'` shows why, and",
        ),
        (
            {"webhook": {"accepted": 0, "failing": OLD, "reason": "its host has no address"}},
            "webhook",
            "The machine cannot report to the webhook since 2027-01-31 09:00 UTC: its host has no "
            "address. It tries again every five minutes.",
        ),
    ],
)
def test_a_finding_names_the_thing_and_the_fix(
    change: dict[str, Any], id_: str, words: str
) -> None:
    (finding,) = found(change)
    assert finding.id == id_
    assert f"{finding.detail or finding.problem} {finding.fix}".startswith(words)


@pytest.mark.parametrize(
    ("change", "severe"),
    [
        ({"data_disk": disk(free=0)}, True),
        ({"data_disk": disk(free=6 * GIB)}, False),
        ({"certificate_ends": "2027-01-31 09:12:00Z"}, True),
        ({"certificate_ends": "2027-02-20 09:12:00Z"}, False),
    ],
)
def test_what_has_become_worse_is_severe(change: dict[str, Any], severe: bool) -> None:
    assert [finding.severe for finding in found(change)] == [severe]


@pytest.mark.parametrize(
    "change",
    [
        backup(problem="restic: s3.example.com refuses the key AKIA of alice@example.com"),
        backup(check_problem="alice@example.com"),
        {"acme": {"problem": "the contact alice@example.com is refused", "fix": "Change it."}},
    ],
)
def test_what_other_programs_report_is_for_operators_only(change: dict[str, Any]) -> None:
    (finding,) = found(change)
    assert "alice" in finding.detail
    assert "alice" not in finding.problem + finding.fix


def test_an_adopted_disk_is_enlarged_in_azure() -> None:
    (finding,) = found({"data_disk": disk()}, dataDiskGiB=None)
    assert finding.fix.endswith("enlarge it in Azure, then run `pulumi up`.")


@pytest.mark.parametrize(
    ("mode", "fix"),
    [
        ("selfSigned", "`pulumi up` creates a new one."),
        (
            "letsEncrypt",
            "`bin/ollamazure ssh --stack dev sudo /usr/local/lib/ollamazure/acme_client.py now`",
        ),
        ("provided", "Replace it in the settings"),
    ],
)
def test_each_mode_renews_the_certificate_in_its_own_way(mode: str, fix: str) -> None:
    (finding,) = found({"certificate_ends": "2027-02-03 09:12:00Z"}, certificateMode=mode)
    assert finding.fix.startswith(fix)


def test_a_stopped_ollama_hides_no_model() -> None:
    stopped = {"name": "ollama", "state": "inactive", "version": None}
    (finding,) = found({"models": None, "loaded": None, "services": [stopped]})
    assert finding.problem == "Ollama is stopped."


def test_without_the_data_disk_nothing_is_known_of_its_backups() -> None:
    nothing = backup(since=0, saved=0, checked=0) | {"data_disk": None}
    assert [finding.id for finding in found(nothing)] == ["disk.data.missing"]


def test_a_certificate_is_judged_by_its_own_validity() -> None:
    """One for six days is renewed later than one for a year."""
    ends = NOW + timedelta(days=1)
    short = {"certificate_starts": f"{ends - timedelta(days=6)}", "certificate_ends": f"{ends}"}
    assert found(short) == []


@pytest.mark.parametrize(
    ("days", "hours_old", "ids"),
    [(1, 25, []), (1, 27, ["backupAge"]), (3, 73, []), (3, 75, ["backupAge"])],
)
def test_over_days_without_working_hours_no_backup_is_missing(
    days: int, hours_old: int, ids: list[str]
) -> None:
    saved = (NOW - timedelta(hours=hours_old)).timestamp()
    assert [each.id for each in found(backup(saved=saved), daysBetweenBackups=days)] == ids


@pytest.mark.parametrize(("days", "ids"), [(1, ["backupCheckAge"]), (3, [])])
def test_nor_is_their_check(days: int, ids: list[str]) -> None:
    checked = (NOW - timedelta(days=10)).timestamp()
    assert [each.id for each in found(backup(checked=checked), daysBetweenBackups=days)] == ids
