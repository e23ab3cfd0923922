"""One machine for all end-to-end tests, made by the program and removed when they end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.host import teardown
from emulator.instance import Instance
from tests.e2e.deployment import Deployment


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The stack `local`, deployed by `pulumi up`.

    With OLLAMAZURE_E2E_HOME, the one that is deployed there already (for work on the tests).
    """
    if home := os.environ.get("OLLAMAZURE_E2E_HOME"):
        yield Deployment(Path(home).resolve())
        return
    deployment = Deployment(tmp_path_factory.mktemp("azure") / "emulator")
    try:
        deployment.up()
        yield deployment
    finally:
        remove(deployment.home)


def remove(home: Path) -> None:
    """Remove an emulated Azure with everything it made on the host."""
    instance = Instance.open(home)
    teardown.remove(instance)
    assert teardown.verify_clean(instance) == []
    shutil.rmtree(home, ignore_errors=True)
