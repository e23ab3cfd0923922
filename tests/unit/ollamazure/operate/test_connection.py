"""What leads to the machine of a stack, and what is said when nothing does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ollamazure.operate import drift, logs, ssh, status
from ollamazure.operate.connection import Machine, TroubleError, outputs_of
from tests.unit.ollamazure.operate.pulumi import OUTPUTS, pulumi

Main = Callable[[list[str]], int]
TO_MACHINE: list[Main] = [drift.main, logs.main, ssh.main, status.main]


def test_reads_the_outputs_of_the_stack(tmp_path: Path) -> None:
    answer = (
        f'[ "$*" = "stack output --json --show-secrets --stack dev" ] && cat {tmp_path}/outputs'
    )
    (tmp_path / "outputs").write_text(json.dumps(OUTPUTS))
    assert outputs_of("dev", pulumi(tmp_path, answer), "adminEmail") == OUTPUTS


def test_the_outputs_lead_to_the_machine_and_its_key_is_not_shown() -> None:
    machine = Machine.of(OUTPUTS)
    assert (machine.user, machine.address) == ("a", "192.0.2.1")
    assert machine.private_key not in repr(machine)


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(TroubleError, match="no output sshCommand, sshPrivateKey, hostKey, url"):
        outputs_of("dev", pulumi(tmp_path, "echo '{}'"), "url")


@pytest.mark.parametrize("main", TO_MACHINE, ids=lambda main: main.__module__)
def test_trouble_is_told_and_is_no_finding(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = pulumi(tmp_path, "echo no such stack >&2; exit 255")
    assert main(["--stack", "dev", "--pulumi", failing]) == 2
    assert "the outputs of the stack dev cannot be read" in capsys.readouterr().err

    assert main(["--stack", "dev", "--pulumi", str(tmp_path / "none")]) == 2
    assert "none is not installed" in capsys.readouterr().err
