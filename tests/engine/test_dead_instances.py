"""What emulated Azures that no longer exist have left on this host."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.host.commands import succeeds
from emulator.instance import Instance
from tests.engine.stack import Stack

TABLE = "olz-0dead0"
NAMESPACE = "olz-0dead0-vnet-0"


@pytest.fixture
def left() -> Iterator[None]:
    """A firewall and a network of an instance without a home."""
    subprocess.run(["nft", "add", "table", "ip", TABLE], check=True)
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    yield
    subprocess.run(["nft", "delete", "table", "ip", TABLE], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)


def exists() -> tuple[bool, bool]:
    return (
        succeeds(["nft", "list", "table", "ip", TABLE]),
        succeeds(["ip", "netns", "exec", NAMESPACE, "true"]),
    )


def test_what_a_dead_emulated_azure_left_is_removed(tmp_path: Path, left: None) -> None:
    stack = Stack(tmp_path / "emulator", plan=False)
    assert exists() == (True, True)
    stack.run("refresh", "--yes")
    assert exists() == (False, False)
    Instance.open(stack.home).release()
