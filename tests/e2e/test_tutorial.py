"""docs/tutorial/chat-on-this-machine.md, followed word by word in an emulated Azure of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import remove
from tests.e2e.deployment import PROJECT, Deployment
from tests.e2e.test_rotation import sign_in
from tests.tutorial import matches, read_steps, run_on_terminal

pytestmark = pytest.mark.long
PAGE = PROJECT / "docs/tutorial/chat-on-this-machine.md"
ALICE = "alice@example.com"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where the page's commands make their emulated Azure; what is left of it is removed."""
    home = tmp_path / "emulator"
    yield home
    if home.exists():
        remove(home)


def test_the_page_from_its_first_to_its_last_command(home: Path) -> None:
    environment = {"OLLAMAZURE_EMULATOR": str(home)}
    invited = False
    for step in read_steps(PAGE):
        code, printed = run_on_terminal(step.command, PROJECT, environment)
        assert code == 0, f"{step.command}\n{printed}"
        if step.output is not None:
            assert matches(step.output, printed), f"{step.command}\n{printed}"
        if f"invite {ALICE}" in step.command:
            invited = True
            [password] = re.findall(r"^Password: +(\S+)$", printed, re.MULTILINE)
            assert sign_in(Deployment(home), ALICE, password)
    assert invited
    assert not os.path.lexists(home), "the last command removes everything"
