"""Backups from the operator's side. A real machine: tests/e2e/test_backup.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamazure.operate import backup
from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.logs import print_output
from ollamazure.operate.pulumi import OperateError
from tests.engine.sshd import HOST, Sshd, running_sshd
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS, pulumi

SECRET = {"4dabf18193072939515e22adb298388d": "1b47", "plaintext": json.dumps("secret script")}
PREFIX = "urn:pulumi:dev::ollamazure::ollamazure:index:PrivateChat$ollamazure:index:"


def resource(
    component: str, name: str, stdin: object, type_: str = "command:remote:Command"
) -> object:
    urn = f"{PREFIX}{component}${type_}::{name}"
    return {"urn": urn, "type": type_, "inputs": {"create": "sh", "stdin": stdin}}


def test_after_a_restore_the_commands_of_the_database_run_again_in_their_order() -> None:
    state = {
        "deployment": {
            "resources": [
                resource("Ollama", "ollama", "a model"),
                resource("OpenWebui", "open-webui", "service"),
                resource("OpenWebui", "open-webui-admin", SECRET),
                resource("Workspace", "initial-passwords", "", "random:index:RandomPassword"),
                resource("Workspace", "user-alice", SECRET),
                resource("Nginx", "nginx", "service"),
            ]
        }
    }
    found = [(each.name, each.script) for each in backup.declared_commands(state)]
    assert found == [
        ("open-webui", "service"),
        ("open-webui-admin", "secret script"),
        ("user-alice", "secret script"),
    ]
    assert "secret script" not in repr(list(backup.declared_commands(state)))


def test_the_key_is_printed_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = json.dumps({**OUTPUTS, "backupKey": "the-key"})
    command = pulumi(tmp_path, f"cat <<'END'\n{outputs}\nEND")
    assert backup.print_key("dev", command) == 0
    assert capsys.readouterr().out == "the-key\n"


def test_without_backups_there_is_no_key(tmp_path: Path) -> None:
    command = pulumi(tmp_path, f"cat <<'END'\n{json.dumps(OUTPUTS)}\nEND")
    with pytest.raises(OperateError, match=r"backup\.target is off"):
        backup.print_key("dev", command)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[MachineConnection]:
    with running_sshd(tmp_path / "server") as server:
        yield connection_to(server)


def connection_to(server: Sshd) -> MachineConnection:
    return MachineConnection(server.user, HOST, server.private_key, server.host_key, server.port)


def test_a_program_of_the_machine_gets_its_request_by_standard_input(
    machine: MachineConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    request = '{"at": null, "other_key": "the-key"}'
    assert asyncio.run(print_output(machine, "cat; exit 3", ["the-key"], request)) == 3
    assert capsys.readouterr().out == request.replace("the-key", "[secret]")


def test_a_command_that_fails_ends_the_restore_with_its_last_lines_and_no_secret(
    machine: MachineConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(MachineConnection, "from_outputs", lambda _: machine)
    commands = [
        backup.DeclaredCommand("first", "bash", f"touch {tmp_path}/first"),
        backup.DeclaredCommand("second", "bash", "echo a password is wrong >&2; exit 1"),
        backup.DeclaredCommand("third", "bash", f"touch {tmp_path}/third"),
    ]
    with pytest.raises(OperateError, match="the command second failed"):
        asyncio.run(backup.run_again("dev", OUTPUTS, commands))
    assert "[secret] is wrong" in capsys.readouterr().err
    assert (tmp_path / "first").exists()
    assert not (tmp_path / "third").exists()
