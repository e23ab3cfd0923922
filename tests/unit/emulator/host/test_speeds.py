"""A machine is as slow as requested: limits of the kernel on real loop devices and links."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure.fabric import FabricError
from emulator.host import disks, speeds
from emulator.host.places import Places
from emulator.host.speeds import Speed, Speeds, limit_network
from emulator.instance import Instance

LIMITS = [Path("/sys/fs/cgroup/blkio") / name for name in speeds._LIMITS]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and namespaces take root")


@pytest.mark.skipif(not LIMITS[0].exists(), reason="this host has no blkio of cgroup v1")
def test_a_disk_has_its_speed_and_what_is_attached_next_has_none(tmp_path: Path) -> None:
    file = tmp_path / "data.disk"
    file.write_bytes(bytes(1 << 20))
    try:
        number = disks.attach(file, 22.5)
        assert [rates()[f"7:{number}"] for rates in map(_reader, LIMITS)] == ["22500000"] * 2
    finally:
        disks.detach(file)
    assert all(f"7:{number}" not in rates() for rates in map(_reader, LIMITS))


def _reader(file: Path) -> Callable[[], dict[str, str]]:
    return lambda: dict(line.split() for line in file.read_text().splitlines())


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"speeds-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_link_has_its_speed_until_it_has_none(namespace: str) -> None:
    limit_network(namespace, "lo", None)
    limit_network(namespace, "lo", 100)
    limit_network(namespace, "lo", 200)
    shaped = _qdiscs(namespace)
    assert [(one["kind"], one["options"]["rate"]) for one in shaped] == [("tbf", 25_000_000)]
    limit_network(namespace, "lo", None)
    assert not [one for one in _qdiscs(namespace) if one["kind"] == "tbf"]


def _qdiscs(namespace: str) -> list[dict[str, Any]]:
    shown = ["tc", "-n", namespace, "-j", "qdisc", "show", "dev", "lo"]
    printed = subprocess.run(shown, stdout=subprocess.PIPE, check=True).stdout
    return list(json.loads(printed))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Speeds]:
    instance = Instance.open(tmp_path / "instance")
    yield Speeds(Places(instance))
    instance.release()


def test_a_speed_is_kept_until_it_is_cleared(kept: Speeds) -> None:
    assert kept.read() == Speed()
    kept.set(Speed(network_mbits=200))
    assert kept.read() == Speed(None, 200)
    kept.clear()
    assert kept.read() == Speed()


def test_a_host_that_cannot_limit_disks_refuses(
    kept: Speeds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speeds, "_BLKIO", tmp_path / "missing")
    with pytest.raises(FabricError, match="cgroup v1"):
        kept.set(Speed(disk_mbps=22.5))
