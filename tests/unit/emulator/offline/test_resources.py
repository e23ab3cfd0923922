"""A stand-in is an executable that the engine can start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.instance import Instance
from emulator.plugins.install import install

pytestmark = pytest.mark.unit


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    opened = Instance.open(tmp_path / "instance")
    install(opened, tmp_path / "pulumi", official=False, plan=False)
    yield opened
    opened.release()


def test_a_stand_in_answers_with_its_port(instance: Instance) -> None:
    stand_ins = sorted(instance.pulumi_home.glob("plugins/*/pulumi-*"))
    for executable in stand_ins:
        if "azure" in executable.name:
            continue
        running = subprocess.Popen(
            [executable, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True, cwd="/"
        )
        assert running.stdout
        assert int(running.stdout.readline())
        running.terminate()
        assert running.wait() == 0
    assert len(stand_ins) == 5


def test_a_stand_in_runs_this_python(instance: Instance) -> None:
    written = (instance.pulumi_home / "plugins/resource-tls-v5.6.2/pulumi-resource-tls").read_text()
    assert f"exec {sys.executable} " in written
