"""A run that was killed, at whatever moment, is completed by the next one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from emulator import recovery
from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.e2e.conftest import remove
from tests.e2e.deployment import PROJECT, Deployment

pytestmark = pytest.mark.long

MADE = {
    "Microsoft.Compute/virtualMachines": 1,
    "Microsoft.Compute/disks": 2,
    "Microsoft.Network/publicIPAddresses": 1,
}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A stack of its own, which every test here deploys a little further."""
    deployment = Deployment(tmp_path_factory.mktemp("interrupted") / "emulator")
    yield deployment
    remove(deployment.home)


def kill_while(deployment: Deployment, name: str, signal_: signal.Signals) -> None:
    """Start `pulumi up` and send the signal to its process group while it creates a resource."""
    process = subprocess.Popen(
        [str(PROJECT / "bin" / "pulumi-local"), "up", "--yes", "--skip-preview"],
        env={**os.environ, "OLLAMAZURE_EMULATOR": str(deployment.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(process.communicate)
        while not is_pending(deployment, name):
            assert process.poll() is None, reading.result()[0]
            time.sleep(0.01)
        os.killpg(process.pid, signal_)
        printed, _ = reading.result()
    with deployment.log.open("a") as log:
        log.write(printed)


def is_pending(deployment: Deployment, name: str) -> bool:
    """Whether Pulumi's state notes that it is creating the resource of this name.

    Pulumi prints that it creates something before it notes it; a run killed in between leaves
    nothing to settle.
    """
    file = recovery.state_file(Instance.open(deployment.home), deployment.stack)
    state = json.loads(file.read_text()) if file else {}
    latest = state.get("checkpoint", {}).get("latest") or {}
    pending = latest.get("pending_operations") or ()
    return any(one["resource"]["urn"].endswith(f"::{name}") for one in pending)


@pytest.mark.parametrize(
    ("name", "signal_"),
    [
        ("data-disk", signal.SIGKILL),
        ("vm", signal.SIGKILL),
        ("machine-ready", signal.SIGINT),
        ("open-webui", signal.SIGKILL),
    ],
)
def test_a_run_ends_while_it_creates(
    interrupted: Deployment, name: str, signal_: signal.Signals
) -> None:
    kill_while(interrupted, name, signal_)


def test_then_the_next_run_completes_and_makes_nothing_twice(interrupted: Deployment) -> None:
    interrupted.up()
    assert "a former run was interrupted" in interrupted.log.read_text()
    assert interrupted.ask("Hello?")
    interrupted.pulumi("preview", "--expect-no-changes")
    azure = Azure(Instance.open(interrupted.home))
    for kind, count in MADE.items():
        assert len(azure.list(kind)) == count, kind
