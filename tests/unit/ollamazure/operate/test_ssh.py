"""The keys of `ollamazure ssh`: one in an agent, one trusted. A session: tests/e2e."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import asyncssh
import pytest

from ollamazure.operate import ssh
from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError

KEY = asyncssh.generate_private_key("ssh-ed25519")
PRIVATE, PUBLIC = KEY.export_private_key().decode(), KEY.export_public_key().decode()


def test_the_agent_holds_the_key_and_ends_with_the_session() -> None:
    with ssh.start_agent(PRIVATE) as socket:
        environment = {"SSH_AUTH_SOCK": socket}
        held = subprocess.check_output(["ssh-add", "-L"], env=environment, text=True)
        assert held.split()[:2] == PUBLIC.split()[:2]
        folder = Path(socket).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [entry.name for entry in folder.iterdir()] == ["agent"]
        (agent,) = _started_here("ssh-agent")
    assert not folder.exists()
    assert not Path(f"/proc/{agent}").exists()


def _started_here(program: str) -> list[int]:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == f"{program}\n"]


def test_an_invalid_key_is_an_error_and_leaves_no_agent() -> None:
    with pytest.raises(OperateError, match="refuses the key"), ssh.start_agent("no key"):
        pass
    assert _started_here("ssh-agent") == []


def test_without_openssh_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OperateError, match="openssh-client"), ssh.start_agent(PRIVATE):
        pass


def test_the_users_own_ssh_configuration_is_not_read() -> None:
    machine = MachineConnection("a", "192.0.2.1", PRIVATE, PUBLIC)
    command = ssh.ssh_command(machine, "/socket", ["uptime"])
    assert command[-2:] == ["a@192.0.2.1", "uptime"]
    effective = subprocess.run(
        [command[0], "-G", *command[1:]], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    believed = f"knownhostscommand /bin/echo 192.0.2.1 {' '.join(PUBLIC.split())}"
    assert {
        "stricthostkeychecking true",
        "userknownhostsfile none",
        "globalknownhostsfile none",
        "identityfile none",
        "identityagent /socket",
        "batchmode yes",
        believed,
    } <= set(effective)
