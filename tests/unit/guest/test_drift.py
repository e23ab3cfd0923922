"""What a command remembers against what is there. Units, kernel and applications: tests/e2e."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import drift
import pytest


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


def test_a_changed_file_is_told_with_the_time_of_the_change(file: drift.Installed) -> None:
    file.path.write_text("by hand\n")
    os.utime(file.path, (0, 1_800_000_000))
    assert differences(file) == [f"{file.path} was changed (2027-01-15 08:00 UTC)"]


def test_a_file_that_is_gone(file: drift.Installed) -> None:
    file.path.unlink()
    assert list(drift.drift_of_file(file)) == [f"{file.path} is gone"]


def test_a_file_that_everybody_may_write(file: drift.Installed) -> None:
    file.path.chmod(0o666)
    [found] = drift.drift_of_file(file)
    assert f"{file.path} has mode 0666" in found and "declared are 0640 and 0" in found


def test_reads_what_a_command_remembers(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("0644 abc /etc/a name with spaces\n0755 def /usr/b\n")
    assert drift.files_of(tmp_path) == [
        ("0644", "abc", Path("/etc/a name with spaces")),
        ("0755", "def", Path("/usr/b")),
    ]


def test_a_command_that_did_not_finish(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("")
    assert list(drift.drift_of(tmp_path)) == []
    (tmp_path / "unfinished").touch()
    assert list(drift.drift_of(tmp_path)) == ["its last run did not finish"]


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
