"""Programs in Open WebUI's container, which may be restarted meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from webui import container
from webui.errors import WebuiError

# Each line of `codes` is the exit code of one run; the last is that of all further ones.
PODMAN = """#!/bin/sh
codes=$(dirname "$0")/codes
read -r code < "$codes"
[ "$(wc -l < "$codes")" -eq 1 ] || sed -i 1d "$codes"
[ "$code" -ne 0 ] || exec cat
echo "Error: the reason" >&2
exit "$code"
"""
NOT_RUNNING, KILLED = 125, 137


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    podman = tmp_path / "podman"
    podman.write_text(PODMAN)
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(container, "AGAIN_PAUSE", 0)
    return tmp_path / "codes"


def test_a_program_runs_again_if_the_container_is_restarted(codes: Path) -> None:
    codes.write_text(f"{NOT_RUNNING}\n{KILLED}\n0\n")
    assert container.run_in_container("session", "input") == "input"


def test_a_program_that_fails_does_not_run_again(codes: Path) -> None:
    codes.write_text("1\n0\n")
    with pytest.raises(WebuiError, match="cannot be used: Error: the reason"):
        container.run_in_container("session")


def test_a_container_that_stays_away_is_reported(
    codes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "RESTARTED_WITHIN", 0)
    codes.write_text(f"{NOT_RUNNING}\n")
    with pytest.raises(WebuiError, match="cannot be used: Error: the reason"):
        container.run_in_container("session")


def test_in_a_cluster_a_program_runs_in_the_pod_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(container, "IN_CLUSTER", "open-webui")
    monkeypatch.setattr(container, "PROGRAMS", tmp_path)
    (tmp_path / "session.py").write_text("print(input().upper())")
    assert container.run_in_container("session", "input\n") == "INPUT\n"
    assert container.container_address() == "open-webui"
