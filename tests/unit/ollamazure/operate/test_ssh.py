"""The keys of `make ssh`: one in an agent, one believed. A session: tests/e2e."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import asyncssh
import pytest

from ollamazure.operate import ssh
from ollamazure.operate.connection import Machine, TroubleError

KEY = asyncssh.generate_private_key("ssh-ed25519")
PRIVATE, PUBLIC = KEY.export_private_key().decode(), KEY.export_public_key().decode()


def test_the_agent_holds_the_key_and_ends_with_the_session() -> None:
    with ssh.agent_with(PRIVATE) as socket:
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


def test_what_is_no_key_is_told_and_leaves_no_agent() -> None:
    with pytest.raises(TroubleError, match="does not take the key"), ssh.agent_with("no key"):
        pass
    assert _started_here("ssh-agent") == []


def test_without_openssh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TroubleError, match="openssh-client"), ssh.agent_with(PRIVATE):
        pass


def test_nothing_of_the_users_own_ssh_takes_part() -> None:
    machine = Machine("a", "192.0.2.1", PRIVATE, PUBLIC)
    command = ssh.client(machine, "/socket", ["uptime"])
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
