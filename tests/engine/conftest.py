"""What several files share: a stack in plan mode, an emulated Azure, an SSH server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.instance import Instance
from tests.engine.pulumi_project import emulated_azure
from tests.engine.sshd import Sshd, running_sshd
from tests.engine.stack import Stack


@pytest.fixture(scope="session")
def checked_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stack, str]:
    """The stack `local`, deployed with the policies, and what `pulumi up` printed."""
    stack = Stack(tmp_path_factory.mktemp("planned") / "emulator")
    return stack, stack.run("up", "--yes", "--skip-preview", "--policy-pack", "policy")


@pytest.fixture
def planned(checked_up: tuple[Stack, str]) -> Iterator[Stack]:
    """That stack. The settings that a test made are forgotten afterwards, those of others too."""
    stack, _ = checked_up
    yield stack
    stack.forget_settings()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An emulated Azure for the projects of a file."""
    with emulated_azure(tmp_path_factory.mktemp("instance")) as opened:
        yield opened


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real OpenSSH server, which stands for the machine."""
    with running_sshd(tmp_path / "sshd") as server:
        yield server
