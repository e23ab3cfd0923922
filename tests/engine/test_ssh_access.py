"""The rotation of the operators' SSH key. A real OpenSSH server stands for the machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emulator.instance import Instance
from ollamazure.operate import ssh_key
from ollamazure.operate.connection import MachineConnection
from tests.engine.pulumi_project import Project, processes_in
from tests.engine.sshd import HOST, Sshd
from tests.engine.stack import PROJECT

pytestmark = pytest.mark.engine

# `vm` is the first boot, which installs a key once. `it` is a command of the application.
PROGRAM = """
import json
import sys
import pulumi
import pulumi_tls as tls
from pulumi_command import local, remote
sys.path.insert(0, {project!r})
from components.ssh_access import SshAccess, SshAccessArgs
from pulumi import ResourceOptions

config = pulumi.Config()

def with_port(args):
    if "stdin" in args.props and args.name.startswith("ssh-key"):
        stdin = args.props["stdin"].apply(json.loads)
        stdin = stdin.apply(lambda machine: json.dumps({{**machine, "port": {port}}}))
        return pulumi.ResourceTransformResult({{**args.props, "stdin": stdin}}, args.opts)

rotated = ResourceOptions(replacement_trigger=config.get("rotation") or "")
key = tls.PrivateKey("ssh-key", algorithm="ED25519", opts=rotated)
seeded = ResourceOptions(ignore_changes=["stdin"])
vm = local.Command("vm", create="cat >{keys}", stdin=key.public_key_openssh, opts=seeded)
access = SshAccess(
    "ssh-access",
    SshAccessArgs(key, user={user!r}, address={host!r}, host_key={host_key!r}, vm=vm),
    ResourceOptions(transforms=[with_port]),
)
if config.get_bool("command"):
    remote.Command(
        "it",
        connection=remote.ConnectionArgs(
            host={host!r}, port={port}, user={user!r}, host_key={host_key!r},
            private_key=access.private_key, dial_error_limit=2,
        ),
        create="echo created >>{log}",
        update="echo updated >>{log}; while [ -e {pause} ]; do sleep 0.1; done",
        delete="echo deleted >>{log}",
        add_previous_output_in_env=False,
    )
pulumi.export("sshPrivateKey", access.private_key)
"""


class Deployed:
    """A stack whose machine is the SSH server."""

    def __init__(self, folder: Path, instance: Instance, sshd: Sshd) -> None:
        self.log, self.pause = folder / "log", folder / "pause"
        self.keys = sshd.home / ".ssh/authorized_keys"
        self.project_folder = folder / "project"
        self.project_folder.mkdir()
        program = PROGRAM.format(
            project=str(PROJECT),
            port=sshd.port,
            host=HOST,
            user=sshd.user,
            host_key=sshd.host_key.strip(),
            keys=self.keys,
            log=self.log,
            pause=self.pause,
        )
        self.project = Project(self.project_folder, instance, program)
        self.machine = MachineConnection(
            sshd.user, HOST, sshd.private_key, sshd.host_key, sshd.port
        )
        self.configure(command="true")
        self.project.up().ok()

    def configure(self, **settings: str) -> None:
        for key, value in settings.items():
            self.project.run("config", "set", key, value).ok()

    @property
    def key(self) -> str:
        """The private key that the operator reads."""
        return str(self.project.outputs()["sshPrivateKey"])

    def accepts(self, key: str) -> bool:
        return asyncio.run(ssh_key.is_accepted(replace(self.machine, private_key=key)))

    def keys_of_state(self) -> set[str]:
        """Every private key in the state, those of resources that wait for deletion included."""
        exported = self.project.run("stack", "export", "--show-secrets").ok().text
        resources = json.loads(exported)["deployment"]["resources"]
        keys = [one["outputs"]["privateKeyOpenssh"] for one in resources if one["type"] == TLS_KEY]
        return {json.loads(key["plaintext"]) for key in keys}

    def kill_when(self, reached: Callable[[], Any]) -> None:
        """Run `pulumi up` and kill it at a moment, with what runs on the operator's side."""
        running = subprocess.Popen(
            [*self.project.command("up"), "--yes", "--skip-preview"],
            cwd=self.project.folder,
            env=self.project.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not reached():
            assert running.poll() is None
            time.sleep(0.01)
        running.kill()
        running.wait()
        self.pause.unlink(missing_ok=True)
        for process, command in processes_in(self.project_folder).items():
            if authorizes(command):  # it would wait ten minutes for a machine that does not answer
                os.kill(process, signal.SIGKILL)
        while processes_in(self.project_folder):
            time.sleep(0.05)
        self.project.run("cancel", "--yes").ok()

    def runs(self) -> list[str]:
        return self.log.read_text().split()


TLS_KEY = "tls:index/privateKey:PrivateKey"


def authorizes(command: str) -> bool:
    return "authorize" in command


@pytest.fixture
def deployed(tmp_path: Path, instance: Instance, sshd: Sshd) -> Deployed:
    return Deployed(tmp_path, instance, sshd)


def test_a_new_key_replaces_the_former(deployed: Deployed) -> None:
    former = deployed.key
    deployed.project.run("preview", "--expect-no-changes").ok()
    # A command that leaves the program in the same `up` is undone with the former key.
    deployed.configure(rotation="2027-01", command="false")
    shown = deployed.project.up().ok().text
    assert deployed.runs() == ["created", "deleted"]
    assert deployed.key != former
    assert deployed.accepts(deployed.key) and not deployed.accepts(former)
    assert len(deployed.keys.read_text().splitlines()) == 1
    deployed.project.run("preview", "--expect-no-changes").ok()
    for key in (former, deployed.key):
        secret = key.splitlines()[2]
        assert secret not in shown + deployed.project.stored()


@pytest.mark.long
def test_an_up_that_is_killed_leaves_a_key_and_the_next_finishes(
    deployed: Deployed, sshd: Sshd
) -> None:
    first = deployed.key
    deployed.configure(rotation="1")

    # Before the machine has the new key: it does not answer.
    sshd.send(signal.SIGSTOP)
    deployed.kill_when(lambda: any(map(authorizes, processes_in(deployed.project_folder).values())))
    sshd.send(signal.SIGCONT)
    assert deployed.key == first and deployed.accepts(first)
    assert first in deployed.keys_of_state()

    # Before every command uses the new key.
    deployed.pause.touch()
    deployed.kill_when(lambda: "updated" in deployed.runs())
    assert deployed.key == first and deployed.accepts(first)
    assert all(map(deployed.accepts, deployed.keys_of_state()))

    # A second rotation and a removed command come before the first rotation is complete.
    deployed.configure(rotation="2", command="false")
    deployed.project.up().ok()
    assert deployed.runs()[-1] == "deleted"
    assert deployed.accepts(deployed.key) and not deployed.accepts(first)
    assert len(deployed.keys.read_text().splitlines()) == 1


@pytest.mark.long
def test_a_key_that_was_retired_before_a_kill_is_no_error(deployed: Deployed) -> None:
    former = deployed.key
    deployed.configure(rotation="1")
    deployed.pause.touch()
    deployed.kill_when(lambda: "updated" in deployed.runs())
    asyncio.run(ssh_key.retire(replace(deployed.machine, private_key=former)))
    assert not deployed.accepts(former)
    deployed.project.up().ok()
    assert deployed.accepts(deployed.key)
    deployed.project.run("preview", "--expect-no-changes").ok()


@pytest.mark.long
def test_the_only_key_is_not_retired(deployed: Deployed) -> None:
    machine = vars(replace(deployed.machine, private_key=deployed.key))
    done = subprocess.run(
        [sys.executable, "-m", "ollamazure.operate.ssh_key", "retire"],
        input=json.dumps(machine),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "the only key" in done.stderr
    assert deployed.accepts(deployed.key)
