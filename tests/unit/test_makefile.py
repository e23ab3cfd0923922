"""The Makefile says what it offers, and looking at what it would do does nothing."""

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


def test_help_is_the_default_and_names_what_people_run() -> None:
    offered = {line.split()[0] for line in make().splitlines()}
    assert offered >= {
        "up",
        "down",
        "test",
        "check",
        "clean",
        "preview",
        "preflight",
        "status",
        "logs",
        "ssh",
        "drift",
        "help",
    }


@pytest.mark.parametrize("target", ["up", "down", "clean", "test"])
def test_a_dry_run_does_nothing(target: str, tmp_path: Path) -> None:
    instance = tmp_path / "emulator"
    instance.mkdir()
    printed = make(
        "--dry-run", target, f"OLLAMAZURE_EMULATOR={instance}", "python=false", "root=false"
    )
    assert printed
    assert instance.exists()


@pytest.mark.parametrize("target", ["status", "logs", "ssh", "drift"])
def test_the_stack_says_which_pulumi_leads_to_the_machine(target: str) -> None:
    run = f"-m scripts.{target} --stack"
    assert f"{run} local --pulumi bin/pulumi-local" in make("--dry-run", target)
    assert f"{run} dev --pulumi pulumi" in make("--dry-run", target, "STACK=dev")
    emulated = make("--dry-run", target, "STACK=dev", "pulumi=bin/pulumi-local")
    assert f"{run} dev --pulumi bin/pulumi-local" in emulated


def test_what_is_asked_of_the_logs_and_the_session_stays_one_word() -> None:
    logs = make("--dry-run", "logs", "UNIT=nginx", "SINCE=2027-01-31 09:00", "FOLLOW=1")
    assert logs.rstrip().endswith('--unit "nginx" --since "2027-01-31 09:00" --follow')
    assert make("--dry-run", "ssh", "COMMAND=df /srv/data").rstrip().endswith('"$COMMAND"')


def test_removing_what_is_not_there_says_so(tmp_path: Path) -> None:
    printed = make("down", f"OLLAMAZURE_EMULATOR={tmp_path / 'none'}")
    assert printed == f"Nothing to remove: there is no emulated Azure in {tmp_path / 'none'}.\n"


def test_only_root_is_not_asked_for_sudo() -> None:
    assert "sudo" not in make("--dry-run", "up", "root=")
    asking = make("--dry-run", "up", "root=sudo -E")
    assert "sudo asks" in asking
    assert "sudo -E bin/pulumi-local up --yes" in asking
