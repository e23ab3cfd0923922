"""A deployment with downloads of official size, on the disk and the network of a small machine.

Standard_B2ms sustains 22.5 MB/s on its disks. Nothing here has to be fast; each long step says how
far it is, and no limit of time ends it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.azure.fabric import FabricError
from emulator.host.places import Places
from emulator.host.speeds import Speed, Speeds
from emulator.instance import Instance
from tests.e2e import padded_mirror
from tests.e2e.conftest import remove
from tests.e2e.deployment import Deployment

DISK, NETWORK = 22.5, 200  # MB/s, Mbit/s
FREE = 25_000_000_000  # bytes: the image twice, Ollama's archive, the model, the machine
STEP = r" +(\d+) of {total} MB \((\d+) %\)(, \d+\.\d MB/s)?"
DOWNLOADS = {
    "Ollama": padded_mirror.OLLAMA,
    "Open WebUI": padded_mirror.IMAGE,
    "the model": padded_mirror.MODEL,
}


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Deployment]:
    """A stack of its own, whose machine will be slow and whose downloads will be large."""
    free = shutil.disk_usage(tmp_path).free
    if free < FREE:
        pytest.skip(f"this host has {free / 1e9:.0f} GB free, and this takes {FREE / 1e9:.0f}")
    mirror, scratch = tmp_path / "mirror", tmp_path / "scratch"
    scratch.mkdir()
    padded_mirror.make(mirror, scratch)
    deployment = Deployment(tmp_path / "emulator", environment={"OLLAMAZURE_MIRROR": str(mirror)})
    try:
        Speeds(Places(Instance.open(deployment.home))).set(Speed(DISK, NETWORK))
    except FabricError as error:
        pytest.skip(str(error))
    yield deployment
    remove(deployment.home)


@pytest.mark.long
def test_a_slow_machine_with_large_downloads_is_deployed(slow: Deployment) -> None:
    output = slow.up().output
    for name, size in DOWNLOADS.items():
        total = round(size / 1e6)
        steps = re.findall(STEP.format(total=total), output)
        assert len(steps) > 1, f"{name}: no progress in\n{output}"
        assert any(rate for _, _, rate in steps), f"{name}: no speed in\n{output}"
        done = [int(megabytes) for megabytes, _, _ in steps]
        assert done == sorted(done), f"{name}: not in order in\n{output}"
    assert "It is at: " in output, "no progress of the first boot"
    assert slow.ask("What is the capital of France?")
    used = int(slow.ssh("sudo du --block-size=1 --summarize /srv/data | cut -f 1").output)
    assert used > padded_mirror.IMAGE_UNPACKED + padded_mirror.MODEL

    # A model that has to be read from the disk: the kernel forgets what it has of the file.
    slow.ssh("sudo systemctl restart ollama && sync")
    slow.ssh(
        "sudo find /srv/data/ollama/models/blobs -size +1G -exec dd if={} iflag=nocache count=0 ';'"
    )
    assert slow.ask("What is the capital of Italy?")
