"""The stack that several files share, deployed once in plan mode."""

from __future__ import annotations

import pytest

from tests.engine.stack import Stack


@pytest.fixture(scope="session")
def checked_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stack, str]:
    """The stack `local`, deployed with the policies, and what `pulumi up` printed."""
    stack = Stack(tmp_path_factory.mktemp("planned") / "emulator")
    return stack, stack.run("up", "--yes", "--skip-preview", "--policy-pack", "policy")


@pytest.fixture(scope="session")
def planned(checked_up: tuple[Stack, str]) -> Stack:
    """That stack. Tests set back what they change."""
    return checked_up[0]
