"""Which Pulumi has a stack, and what its outputs are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from emulator import recovery
from emulator.instance import Instance
from ollamazure.operate.pulumi import OperateError, become_root, choose_pulumi, read_outputs
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS, pulumi


@pytest.fixture
def emulator_has_dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated Azure that has the stack dev, where the emulator itself finds it."""
    home = tmp_path / "emulator"
    monkeypatch.setenv("OLLAMAZURE_EMULATOR", str(home))
    instance = Instance(home, "000000", 0)
    file = instance.backend / ".pulumi" / "stacks" / "ollamazure" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert recovery.state_file(instance, "dev") == file


def only_pulumi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let `pulumi` on PATH run this script."""
    pulumi(folder, script)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.usefixtures("emulator_has_dev")
@pytest.mark.parametrize("script", ["exit 1", 'echo "no stack named dev" >&2; exit 255'])
def test_a_stack_that_only_the_emulator_has_is_looked_at_there(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_pulumi(tmp_path, monkeypatch, script)
    assert choose_pulumi("dev", emulated=False) == "bin/pulumi-local"
    assert choose_pulumi("prod", emulated=False) == "pulumi"


@pytest.mark.usefixtures("emulator_has_dev")
def test_without_a_pulumi_the_emulator_has_its_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert choose_pulumi("dev", emulated=False) == "bin/pulumi-local"


@pytest.mark.usefixtures("emulator_has_dev")
def test_a_stack_that_both_have_is_the_real_one_unless_emulated_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "stack --show-name --non-interactive --stack dev"
    only_pulumi(tmp_path, monkeypatch, f'[ "$*" = "{asked}" ]')
    assert choose_pulumi("dev", emulated=False) == "pulumi"
    assert choose_pulumi("dev", emulated=True) == "bin/pulumi-local"


def test_the_stack_local_is_emulated() -> None:
    assert choose_pulumi("local", emulated=False) == "bin/pulumi-local"


def test_only_a_user_who_is_not_root_needs_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda _, command: started.append(command))
    monkeypatch.setattr("sys.argv", ["cli.py", "status", "--stack", "local"])
    monkeypatch.delenv("OLLAMAZURE_PLAN", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    become_root()
    assert started == []

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    become_root()
    again = [sys.executable, "-m", "ollamazure.cli", "status", "--stack", "local"]
    assert started == [["sudo", "--preserve-env", *again]]


def test_reads_the_outputs_of_the_stack(tmp_path: Path) -> None:
    answer = (
        f'[ "$*" = "stack output --json --show-secrets --stack dev" ] && cat {tmp_path}/outputs'
    )
    (tmp_path / "outputs").write_text(json.dumps(OUTPUTS))
    assert read_outputs("dev", pulumi(tmp_path, answer), "adminEmail") == OUTPUTS


def test_all_missing_outputs_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(OperateError, match="no output sshCommand, sshPrivateKey, hostKey, url"):
        read_outputs("dev", pulumi(tmp_path, "echo '{}'"), "url")


def test_outputs_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    failing = pulumi(tmp_path, "exit 255")
    with pytest.raises(OperateError, match=r"the outputs of the stack dev cannot be read.*--emul"):
        read_outputs("dev", failing)
    with pytest.raises(OperateError, match="none is not installed"):
        read_outputs("dev", str(tmp_path / "none"))
