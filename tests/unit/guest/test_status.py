"""Reading the kernel's values on the machine. Services and models: tests/e2e."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import status

from ollamazure.settings.groups import EXAMPLE_AUTHORITY
from tests.unit.guest.test_chat_answers import Server, certificate, server
from tests.unit.guest.test_findings import STACK, WELL

__all__ = ["certificate", "server"]  # fixtures

MEMINFO = """\
MemTotal:        8129836 kB
MemFree:          213160 kB
MemAvailable:    3251232 kB
HugePages_Total:       0
"""


def test_free_memory_is_what_is_available_to_programs() -> None:
    assert status.memory(MEMINFO) == {"total": 8129836 * 1024, "free": 3251232 * 1024}


def test_a_folder_on_the_system_disk_is_no_data_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("status.DATA", tmp_path)
    assert status.data_disk() is None
    monkeypatch.setattr("status.DATA", Path("/proc"))
    assert status.data_disk() is not None


def test_the_units_that_have_failed_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without those that have a finding of their own, and those that no longer have a file."""
    units = [
        {"unit": "b.service", "load": "loaded"},
        {"unit": "a.mount", "load": "loaded"},
        {"unit": "nginx.service", "load": "loaded"},
        {"unit": "ollamazure-backup.service", "load": "loaded"},
        {"unit": "nginx-check.service", "load": "not-found"},
    ]
    monkeypatch.setattr(status, "output_of", lambda _: json.dumps(units))
    assert status.failed_units() == ["a.mount", "b.service"]
    monkeypatch.setattr(status, "output_of", lambda _: "")
    assert status.failed_units() == []


def test_each_package_that_asks_for_a_restart_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "reboot-required.pkgs"
    monkeypatch.setattr(status, "REBOOT_PACKAGES", packages)
    assert status.reboot_packages() == []
    packages.write_text("linux-image-6.12\nlibc6\nlinux-image-6.12\n")
    assert status.reboot_packages() == ["libc6", "linux-image-6.12"]


@pytest.mark.parametrize(
    ("mode", "pem", "ends"),
    [
        ("selfSigned", EXAMPLE_AUTHORITY, "2226-01-01 00:00:00Z"),
        ("letsEncrypt", EXAMPLE_AUTHORITY, None),
        ("selfSigned", None, None),
        ("selfSigned", "no certificate", None),
    ],
)
def test_the_end_of_the_authority_is_that_of_its_certificate(
    mode: str, pem: str | None, ends: str | None
) -> None:
    assert status.authority_ends({"certificateMode": mode, "caCertificate": pem}) == ends


@pytest.mark.parametrize(("answer", "is_up"), [(200, True), (502, False)])
def test_the_machine_asks_the_chat_itself(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: int, is_up: bool
) -> None:
    """As through Nginx, whatever its certificate is."""
    server.answers["/health"] = (answer, "")
    monkeypatch.setattr(status, "NGINX", f"127.0.0.1:{server.port}")
    assert status.is_chat_up("chat.example") is is_up


def test_a_report_has_what_the_machine_finds_and_whether_the_chat_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = WELL | {"container_dns": False}
    monkeypatch.setattr(status, "facts_of", lambda _: facts)
    monkeypatch.setattr(status, "is_chat_up", lambda host: host != "203.0.113.20")
    stack = STACK | {"url": "https://203.0.113.20"}
    findings, booted = status.findings_to_report(stack)
    assert [finding.id for finding in findings] == ["containerDns", "chat"]
    assert booted == facts["booted"]


KILLED = "ollama.service: A process of this unit has been killed by the OOM killer."
JOURNAL = f"""\
{{"__REALTIME_TIMESTAMP":"1800000000000000","MESSAGE":"Ollama broke off an answer."}}
{{"__REALTIME_TIMESTAMP":"1800000060000000","MESSAGE":"{KILLED}"}}
"""


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("", {"count": 0, "last": 0, "memory": False}),
        (JOURNAL.splitlines()[0], {"count": 1, "last": 1_800_000_000, "memory": False}),
        (JOURNAL, {"count": 2, "last": 1_800_000_060, "memory": True}),
    ],
)
def test_a_model_that_ended_in_the_middle_of_its_work_is_counted(
    monkeypatch: pytest.MonkeyPatch, lines: str, found: dict[str, object]
) -> None:
    """Since Ollama was started again, which is what a new setting does."""
    started = f"@{time.time() - 60:.0f}"
    commands = []

    def output_of(command: list[str]) -> str:
        commands.append(command)
        return started if command[0] == "systemctl" else lines

    monkeypatch.setattr(status, "output_of", output_of)
    assert status.ended_models() == found
    assert f"--since={started}" in commands[-1]
