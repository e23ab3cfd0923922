"""`bin/ollamazure undo-upgrade`: what it asks, runs and changes. The machine's part: tests/e2e."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ollamazure.operate import upgrade
from ollamazure.operate.connection import MachineConnection

OUTPUTS = {"sshCommand": "ssh -i chat.key admin@192.0.2.1", "sshPrivateKey": "k", "hostKey": "h"}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The machine's commands, which undo an upgrade from v0.11.4."""
    commands: list[str] = []

    async def query(_: MachineConnection, command: str) -> Any:
        commands.append(command)
        return f"ghcr.io/open-webui/open-webui:v0.11.4@sha256:{'0' * 64}"

    monkeypatch.setattr(MachineConnection, "query", query)
    monkeypatch.setattr(upgrade, "read_outputs", lambda *_: OUTPUTS)
    monkeypatch.setattr(upgrade, "PROJECT", tmp_path)
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/log\n')
    pulumi.chmod(0o755)
    return commands


def test_the_settings_have_the_former_version_again(
    ran: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pulumi = str(tmp_path / "pulumi")
    assert upgrade.undo("dev", pulumi, yes=True) == 0
    assert ran == [upgrade.UNDO]
    log = (tmp_path / "log").read_text()
    assert log == "config set ollamazure:webuiVersion v0.11.4 --stack dev\n"
    assert f"OLLAMAZURE_RESTORED=v0.11.4 {pulumi} up --stack dev" in capsys.readouterr().out


def test_nothing_is_lost_without_a_confirmation(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert upgrade.undo("dev", "pulumi", yes=False) == 1
    assert ran == []
