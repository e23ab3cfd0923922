"""The stack that several files share, deployed once in plan mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
