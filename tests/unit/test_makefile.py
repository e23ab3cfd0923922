"""The Makefile lists what it offers, and a dry run changes nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.instance import PROJECT

pytestmark = pytest.mark.unit


def make(*arguments: str) -> str:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_help_is_the_default_and_lists_what_developers_run() -> None:
    offered = [line.split()[0] for line in make().splitlines()]
    assert offered == [
        "help",
        "up",
        "down",
        "test",
        "test-long",
        "bench",
        "check",
        "generate",
        "clean",
    ]


@pytest.mark.parametrize(
    "target", ["up", "down", "clean", "test", "test-long", "bench", "generate"]
)
def test_a_dry_run_changes_nothing(target: str, tmp_path: Path) -> None:
    instance = tmp_path / "emulator"
    instance.mkdir()
    printed = make(
        "--dry-run", target, f"OLLAMAZURE_EMULATOR={instance}", "python=false", "root=false"
    )
    assert printed
    assert instance.exists()


def test_only_the_short_tests_leave_out_the_long_ones() -> None:
    assert "-m pytest" in make("--dry-run", "test-long")
    assert '-m "not long"' not in make("--dry-run", "test-long")
    assert '-m "not long"' in make("--dry-run", "test")


def test_one_benchmark_runs_and_is_recorded_only_on_request() -> None:
    assert make("--dry-run", "bench", "root=").endswith("-m tools.benchmarks  \n")
    one = make("--dry-run", "bench", "NAME=chat", "RECORD=1", "root=")
    assert one.endswith("-m tools.benchmarks --record chat\n")


def test_a_missing_instance_is_nothing_to_remove(tmp_path: Path) -> None:
    printed = make("down", f"OLLAMAZURE_EMULATOR={tmp_path / 'none'}")
    assert printed == f"Nothing to remove: there is no emulated Azure in {tmp_path / 'none'}.\n"


@pytest.mark.parametrize("target", ["up", "test", "test-long", "bench"])
def test_what_it_needs_is_stated_before_anything_is_made(target: str) -> None:
    printed = make("--dry-run", target, "root=")
    checked = printed.index(f"python3 -m emulator.needs {target}\n")
    installed = printed.index("\ntools/install-packages.sh ")
    assert checked < installed
    assert "emulator.needs" not in make("--dry-run", "check")


def test_only_root_needs_no_sudo() -> None:
    assert "sudo" not in make("--dry-run", "up", "root=")
    asking = make("--dry-run", "up", "root=sudo -E")
    assert "sudo asks" in asking
    assert "sudo -E bin/pulumi-local up --yes" in asking
