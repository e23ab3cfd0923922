"""Locks and notes that a killed run leaves in the state of the real Pulumi."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.artifacts import paths
from tools import recover, ssh_clients
from tools.ssh_clients import CheckedOutStack, LockedError

HERE, LOST = os.uname().nodename, "lost-runner"
ME, COLLEAGUE = getpass.getuser(), "ana"
GONE = 4_194_304
"""More than the largest process id of Linux."""
MACHINE = {
    "urn": "urn:pulumi:dev::chat::azure-native:compute:VirtualMachine::vm",
    "custom": True,
    "type": "azure-native:compute:VirtualMachine",
    "inputs": {"resourceGroupName": "ollamazure-dev", "vmName": "chat", "location": "northeurope"},
}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckedOutStack:
    """A stack without resources, with a state in `tmp_path`, in a checkout of its own."""
    monkeypatch.setattr(ssh_clients, "PROJECT", tmp_path)
    monkeypatch.setenv("PATH", f"{paths.pulumi().parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "for this test")
    monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
    (tmp_path / "Pulumi.yaml").write_text("name: chat\nruntime: yaml\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n  ollamazure:sshClients:\n    - 192.0.2.1/32\n"
    )
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "dev"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    one = CheckedOutStack("dev")
    one.run("stack", "init")
    return one


def lock(project: Path, user: str, host: str, process: int) -> Path:
    """A lock as Pulumi writes it."""
    file = project / ".pulumi" / "locks" / "organization" / "chat" / "dev" / f"{user}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"username": user, "hostname": host, "pid": process}
    file.write_text(json.dumps({**content, "timestamp": "2026-01-02T03:04:05Z"}))
    return file


@pytest.fixture
def running(tmp_path: Path) -> Iterator[int]:
    """A process of this machine with Pulumi's name."""
    shutil.copy("/bin/sleep", tmp_path / "pulumi")
    with subprocess.Popen([tmp_path / "pulumi", "600"]) as process:
        yield process.pid
        process.kill()


def close(stack: CheckedOutStack) -> str:
    """What the last step of a deployment does with a lock."""
    refresh = ("refresh", "--yes", "--skip-preview")
    return stack.run_without_old_locks(*refresh, is_old=ssh_clients._was_killed_here)


@pytest.mark.parametrize("act", [recover.recover, close], ids=["recover", "close"])
def test_the_lock_of_a_process_that_was_killed_here_is_removed(
    act: Callable[[CheckedOutStack], Any], stack: CheckedOutStack, tmp_path: Path
) -> None:
    """The deployment was cancelled or ran out of time; its runner goes on with its last step."""
    left = lock(tmp_path, ME, HERE, GONE)
    act(stack)
    assert not left.exists()


def test_only_recovery_by_hand_removes_the_lock_of_a_lost_runner(
    stack: CheckedOutStack, tmp_path: Path
) -> None:
    left = lock(tmp_path, ME, LOST, 7)
    with pytest.raises(LockedError, match="the workflow `Recover a stack` removes the lock"):
        close(stack)
    assert left.exists()
    assert "dev can be deployed again" in recover.recover(stack)
    assert not left.exists()


@pytest.mark.parametrize("act", [recover.recover, close], ids=["recover", "close"])
@pytest.mark.parametrize("host", [HERE, LOST], ids=["here", "elsewhere"])
def test_the_lock_of_a_person_stays(
    act: Callable[[CheckedOutStack], Any], host: str, stack: CheckedOutStack, tmp_path: Path
) -> None:
    """Also if a runner that was killed left another one beside it."""
    locks = [lock(tmp_path, COLLEAGUE, host, GONE), lock(tmp_path, ME, HERE, GONE)]
    with pytest.raises(LockedError, match=f"{COLLEAGUE}@{host} .process {GONE}. since 2026-01-02"):
        act(stack)
    assert all(one.exists() for one in locks)


@pytest.mark.parametrize("act", [recover.recover, close], ids=["recover", "close"])
def test_the_lock_of_a_running_pulumi_stays(
    act: Callable[[CheckedOutStack], Any], stack: CheckedOutStack, running: int, tmp_path: Path
) -> None:
    held = lock(tmp_path, ME, HERE, running)
    with pytest.raises(LockedError):
        act(stack)
    assert held.exists()


def test_unfinished_creations_are_dropped_and_listed(
    stack: CheckedOutStack, tmp_path: Path
) -> None:
    key = {**MACHINE, "urn": "urn:pulumi:dev::chat::tls:index/privateKey:PrivateKey::key"}
    key |= {"type": "tls:index/privateKey:PrivateKey", "inputs": {"algorithm": "ED25519"}}
    (file,) = tmp_path.glob(".pulumi/stacks/*/dev.json")
    state = json.loads(file.read_text())
    state["checkpoint"]["latest"] |= {
        "pending_operations": [{"resource": one, "type": "creating"} for one in (MACHINE, key)]
    }
    file.write_text(json.dumps(state))

    done = recover.recover(stack)
    assert done.count("az resource list") == 1
    assert "az resource list --resource-group ollamazure-dev --name chat\n" in done
    assert not stack.state().get("pending_operations")


def test_a_stack_that_needs_nothing_stays_as_it_is(stack: CheckedOutStack) -> None:
    before = stack.state()
    assert "az resource" not in recover.recover(stack)
    assert stack.state().get("resources") == before.get("resources")
