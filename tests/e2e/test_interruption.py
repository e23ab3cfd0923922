"""A run that was killed, at whatever moment, is completed by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import remove
from tests.e2e.deployment import PROJECT, Deployment


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A stack of its own, which every test here deploys a little further."""
    deployment = Deployment(tmp_path_factory.mktemp("interrupted") / "emulator")
    yield deployment
    remove(deployment.home)


def kill_at(deployment: Deployment, sign: str, signal_: signal.Signals) -> None:
    """Begin `pulumi up` and send the signal to its process group when it prints `sign`."""
    process = subprocess.Popen(
        [str(PROJECT / "bin" / "pulumi-local"), "up", "--yes", "--skip-preview"],
        env={**os.environ, "OLLAMAZURE_EMULATOR": str(deployment.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if sign in line:
            os.killpg(process.pid, signal_)
            break
    else:
        raise AssertionError(f"it never said {sign!r}:\n{printed}")
    process.wait()
    with deployment.log.open("a") as log:
        log.write(printed)


@pytest.mark.parametrize(
    ("sign", "signal_"),
    [
        ("data-disk creating", signal.SIGKILL),
        ("vm creating", signal.SIGKILL),
        ("machine-ready creating", signal.SIGINT),
        ("open-webui creating", signal.SIGKILL),
    ],
)
def test_a_run_is_ended_while(interrupted: Deployment, sign: str, signal_: signal.Signals) -> None:
    kill_at(interrupted, sign, signal_)


def test_then_the_next_run_completes(interrupted: Deployment) -> None:
    interrupted.up()
    assert "a former run was interrupted" in interrupted.log.read_text()
    assert interrupted.ask("Hello?")
    interrupted.pulumi("preview", "--expect-no-changes")
