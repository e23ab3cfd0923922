"""The record of a command against the machine. Units, kernel and applications: tests/e2e."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import drift
import pytest

from components import remote_command
from ollamazure import manifest
from tests.unit.ollamazure.settings.test_provided_certificate import Signer

UNITS = remote_command.GUEST / "etc/systemd/system"


@pytest.fixture
def file(tmp_path: Path) -> drift.Installed:
    path = tmp_path / "thing.conf"
    path.write_text("as declared\n")
    path.chmod(0o640)
    return drift.Installed("0640", hashlib.sha256(b"as declared\n").hexdigest(), path)


def differences(file: drift.Installed) -> list[str]:
    found = list(drift.drift_of_file(file))
    if os.getuid():  # the tests' files are not root's
        assert "and owner" in found.pop()
    return found


def test_a_file_as_it_was_installed(file: drift.Installed) -> None:
    assert differences(file) == []


def test_a_changed_file_is_reported_with_the_time_of_the_change(file: drift.Installed) -> None:
    file.path.write_text("by hand\n")
    os.utime(file.path, (0, 1_800_000_000))
    assert differences(file) == [f"{file.path} was changed (2027-01-15 08:00 UTC)"]


def test_a_missing_file(file: drift.Installed) -> None:
    file.path.unlink()
    assert list(drift.drift_of_file(file)) == [f"{file.path} is missing"]


def test_a_file_that_everyone_can_write(file: drift.Installed) -> None:
    file.path.chmod(0o666)
    [found] = drift.drift_of_file(file)
    assert f"{file.path} has mode 0666" in found and "declared are 0640 and 0" in found


@pytest.mark.parametrize(("ends", "expired"), [(-1, True), (1, False)])
def test_a_certificate_that_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: int, expired: bool
) -> None:
    monkeypatch.setattr(drift, "CERTIFICATE", tmp_path / "server.pem")
    assert [*drift.drift_of_certificate()] == []
    drift.CERTIFICATE.write_text(Signer("chat", begins=-9, ends=ends).pem)
    assert any("has expired" in what for what in drift.drift_of_certificate()) == expired


@pytest.fixture
def record_of_command(tmp_path: Path) -> Path:
    """The folder of a command, as its script leaves it."""
    files = [
        (remote_command.File(str(tmp_path / "a name with spaces"), "0640", content=b""), b"x\n"),
        (remote_command.File(str(tmp_path / "key"), "0600", key="key"), b""),
    ]
    script = remote_command.render_script(
        "it", "true", files, purpose="do it", machine="vm-1", secrets=True
    )
    folder = tmp_path / "installed" / "it"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest.split(script)[0])
    (folder / "secret-files").write_text(f"abc  {tmp_path / 'key'}\n")
    return folder


def test_reads_the_manifest_and_the_digests_of_secrets(record_of_command: Path) -> None:
    digest = hashlib.sha256(b"x\n").hexdigest()
    folder = record_of_command.parents[1]
    described = json.loads((record_of_command / "manifest.json").read_text())
    assert drift.files_of(described, record_of_command) == [
        ("0640", digest, folder / "a name with spaces"),
        ("0600", "abc", folder / "key"),
    ]


def test_a_command_that_did_not_finish(record_of_command: Path) -> None:
    unfinished = "the last run of the command to do it did not finish"
    assert unfinished not in drift.drift_of(record_of_command)
    (record_of_command / "unfinished").touch()
    assert unfinished in drift.drift_of(record_of_command)


@pytest.mark.parametrize("text", [None, "", "{}", '{"purpose": "do it", "files": [{}]}'])
def test_a_command_without_a_manifest_is_drift(text: str | None, tmp_path: Path) -> None:
    """For example one that an earlier version of the program ran."""
    (tmp_path / "files").write_text("")
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
        (tmp_path / "secret-files").touch()
    [found] = drift.drift_of(tmp_path)
    assert "manifest.json cannot be read" in found and "`pulumi up` writes it" in found


@pytest.mark.parametrize(
    ("declared", "running"),
    [
        ("docker.io/library/nginx:1.30.3", "docker.io/library/nginx:1.30.3"),
        ("docker.io/library/nginx:1.30.3@sha256:ab", "docker.io/library/nginx@sha256:ab"),
        ("host:5000/nginx:1.30.3@sha256:ab", "host:5000/nginx@sha256:ab"),
        ("host:5000/nginx@sha256:ab", "host:5000/nginx@sha256:ab"),
    ],
)
def test_podman_names_an_image_with_a_digest_without_its_tag(declared: str, running: str) -> None:
    assert drift.name_of_container(declared) == running


@pytest.mark.parametrize(
    ("file", "unit"),
    [
        ("ollama.service", "ollama.service"),
        ("nginx.container", "nginx.service"),
        ("mynet.network", "mynet-network.service"),
        ("README", None),
    ],
)
def test_units_of_files(file: str, unit: str | None) -> None:
    assert drift.unit_of(Path("/etc/containers/systemd") / file) == unit


@pytest.mark.parametrize("service", ["cleanup", "follow-data-disk"])
def test_a_service_that_a_timer_or_udev_starts_is_not_always_active(service: str) -> None:
    assert drift.unit_of(UNITS / f"ollamazure-{service}.service") is None


@pytest.mark.parametrize("unit", ["ollamazure-cleanup.timer", "ollamazure-firewall.service"])
def test_a_timer_and_what_remains_after_its_work_are_always_active(unit: str) -> None:
    assert drift.unit_of(UNITS / unit) == unit


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["ssh-ed25519 AAAAours ollamazure"], []),
        (["# a comment", "", "no-pty ssh-ed25519 AAAAours"], []),
        ([], ["does not have the operators' key"]),
        (
            ["ssh-ed25519 AAAAours", "ssh-ed25519 AAAAother bob@laptop"],
            ["has another key: bob@laptop"],
        ),
    ],
)
def test_authorized_keys(
    lines: list[str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, keys = tmp_path / "authorized-key", tmp_path / ".ssh/authorized_keys"
    monkeypatch.setattr(drift, "AUTHORIZED_KEY", record)
    assert list(drift.drift_of_authorized_keys()) == []  # an earlier version records none
    record.write_text("operator ssh-ed25519 AAAAours\n")
    monkeypatch.setattr(drift, "home_of", lambda user: tmp_path)
    keys.parent.mkdir()
    keys.write_text("\n".join(lines))
    assert list(drift.drift_of_authorized_keys()) == [f"{keys} {text}" for text in found]


DYNAMIC = """
table inet ollamazure {
    set declared { type ipv4_addr; elements = { 127.0.0.9 }; }
    set new { type ipv4_addr; size 9; flags dynamic,timeout; timeout 1m; }
    set open { type ipv4_addr; size 9; flags dynamic; }
    chain output {
        type filter hook output priority filter
        update @new { ip daddr limit rate over 1/second burst 5 packets } drop
        add @open { ip daddr ct count over 5 } drop
    }
}
"""
CONNECT_AND_COMPARE = """
import shlex, socket, subprocess, sys
import drift
drift.FIREWALL, change = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["nft", "--file", drift.FIREWALL], check=True)
for last in range(1, 5):
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"", (f"127.0.0.{last}", 9))
assert drift.output_of(drift.LIST_FIREWALL).count("127.0.0.1") == 2
subprocess.run(["nft", *shlex.split(change)], check=True)
print(*drift.drift_of_firewall())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and nft take root")
@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("list tables", ""),
        ("delete element inet ollamazure declared { 127.0.0.9 }", "the active firewall differs"),
    ],
)
def test_the_addresses_that_connect_are_no_drift(tmp_path: Path, change: str, found: str) -> None:
    declared = tmp_path / "firewall.nft"
    declared.write_text(DYNAMIC)
    printed = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", CONNECT_AND_COMPARE, declared, change],
        env={**os.environ, "PYTHONPATH": str(Path(drift.__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()[-1]
    assert printed.startswith(found) and bool(printed) == bool(found)


def test_a_program_that_was_removed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert list(drift.drift_of_programs("/etc/ollamazure/backup.json")) == [
        "the program restic is missing"
    ]
    assert drift.output_of(["podman", "ps"]) == ""
    assert not drift.succeeds(["podman", "ps"])
