"""NVIDIA's driver on a machine with a GPU: it loads, or the step says why it does not."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from components import remote_command

TOOLS = remote_command.GUEST / "usr/local/lib/ollamazure"
OLD, NEW = "6.12.48+deb13-cloud-amd64", "6.12.117+deb13-cloud-amd64"


@dataclass
class Machine:
    """The script with its paths below `root`, and stand-ins for what needs a GPU or a kernel."""

    root: Path
    running: str = NEW
    built: str = NEW
    loads: bool = True
    gpu: bool = True

    def run(self, action: str) -> subprocess.CompletedProcess[str]:
        commands = {
            "uname": f"echo {self.running}",
            "modinfo": f'[ "$2" = "{self.built}" ]',
            "modprobe": f"{str(self.loads).lower()} && [ {self.running} = {self.built} ]",
            "nvidia-smi": "echo Tesla T4, 15360 MiB" if self.gpu else "exit 9",
            "journalctl": "echo NVRM: the words of the kernel",
            "systemctl": f'echo systemctl "$@" >>{self.root}/log',
            "systemd-run": f'echo systemd-run "$@" >>{self.root}/log',
        }
        for name, text in commands.items():
            command = self.root / "bin" / name
            command.write_text(f"#!/bin/sh\n{text}\n")
            command.chmod(0o755)
        return subprocess.run(
            ["bash", self.root / "gpu-driver", action],
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def log(self) -> list[str]:
        """What systemd was asked for."""
        log = self.root / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    places = re.compile(r"/(lib/modules|var/lib/dkms|var/log|usr/local/lib/ollamazure)")
    (tmp_path / "usr/local/lib/ollamazure").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for kernel in (OLD, NEW):
        (tmp_path / "lib/modules" / kernel).mkdir(parents=True)
    for name, target in {"gpu-driver": ".", "lib.sh": "usr/local/lib/ollamazure"}.items():
        text = places.sub(rf"{tmp_path}/\1", (TOOLS / name).read_text())
        (tmp_path / target / name).write_text(text)
    return Machine(tmp_path)


def test_a_driver_that_runs_is_left_alone(machine: Machine) -> None:
    """Also when a newer kernel waits for the next restart."""
    machine.running = machine.built = OLD
    done = machine.run("load")
    assert (done.returncode, machine.log) == (0, []), done.stderr


def test_the_machine_restarts_into_the_kernel_of_the_driver(machine: Machine) -> None:
    """With SSH closed first: the next step waits for the machine as it is after the restart."""
    machine.running = OLD
    done = machine.run("load")
    assert done.returncode == 0, done.stderr
    assert machine.log[0] == "systemctl stop ssh.service"
    assert machine.log[1].startswith("systemd-run") and machine.log[1].endswith("systemctl reboot")
    assert NEW in done.stderr


def test_a_driver_that_was_not_built_is_reported_with_the_output(
    machine: Machine,
) -> None:
    machine.running, machine.built = OLD, "none"
    log = machine.root / "var/lib/dkms/nvidia-current/550.163.01/build/make.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: implicit declaration\n")
    done = machine.run("load")
    assert (done.returncode, machine.log) == (1, [])
    assert "error: implicit declaration" in done.stderr
    assert f"was not built for the kernel {NEW}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("action", ["load", "check"])
def test_a_driver_that_the_kernel_refuses_is_reported_with_its_messages(
    machine: Machine, action: str
) -> None:
    machine.loads = False
    done = machine.run(action)
    assert (done.returncode, machine.log) == (1, [])
    assert "NVRM: the words of the kernel" in done.stderr
    assert "Secure Boot" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("action", ["load", "check"])
def test_a_machine_without_a_gpu_is_reported(machine: Machine, action: str) -> None:
    machine.gpu = False
    done = machine.run(action)
    assert (done.returncode, machine.log) == (1, [])
    assert "nvidia-smi finds no working GPU" in done.stderr.splitlines()[-1]


def test_what_was_found_is_shown(machine: Machine) -> None:
    done = machine.run("check")
    assert done.returncode == 0 and "Tesla T4, 15360 MiB" in done.stderr
