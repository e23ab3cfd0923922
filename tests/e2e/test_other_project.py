"""docs/reference/emulator.md on a machine: another program's machine is one, too."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from emulator.host import teardown
from emulator.instance import Instance
from tests.engine.stack import PROJECT
from tests.engine.test_other_project import commands, write_project

OPTIONS = ("UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR")


@pytest.mark.long
def test_a_machine_of_another_program_answers_by_ssh(tmp_path: Path) -> None:
    write_project(folder := tmp_path / "laptop")
    instance = Instance.open(tmp_path / "emulator")
    environment = {**os.environ, "OLLAMAZURE_EMULATOR": str(instance.home)}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    try:
        *create, _, destroy = commands(folder)
        for command in create:
            run(*command)
        output = ("bin/pulumi-local", "-C", str(folder), "stack", "output", "--show-secrets")
        key = tmp_path / "key"
        key.write_text(f"{run(*output, 'key')}\n")
        key.chmod(0o600)
        options = [word for option in OPTIONS for word in ("-o", option)]
        ssh = ("ssh", "-i", str(key), *options, f"me@{run(*output, 'address')}")
        run(*ssh, "cloud-init status --wait")
        assert run(*ssh, "sudo ls /root") == "first-boot"
        run(*destroy)
    finally:
        teardown.remove(instance)
        instance.release()
