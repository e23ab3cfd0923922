"""The machine that many tests share, made by the program and removed when the tests end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from emulator.host import teardown
from emulator.instance import Instance
from tests.e2e.browser import launch, new_context
from tests.e2e.deployment import Deployment
from tests.e2e.people import TEAM


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The stack `local`, deployed by `pulumi up`.

    With OLLAMAZURE_E2E_HOME, the one that is deployed there already (for work on the tests).
    """
    kept = os.environ.get("OLLAMAZURE_E2E_HOME")
    folder = Path(kept).resolve() if kept else tmp_path_factory.mktemp("azure") / "emulator"
    deployment = Deployment(folder)
    try:
        if not kept:
            deployment.up()
        yield deployment
    finally:
        if not kept:
            remove(deployment.home)


@pytest.fixture(scope="session")
def team(deployment: Deployment) -> Deployment:
    """The same machine, from now on with the people of people.py.

    In `make test-long`, test_survival.py has destroyed the stack: a new one adopts its data disk.
    """
    declared = {k: v if isinstance(v, str) else json.dumps(v) for k, v in TEAM.items()}
    deployment.up(**declared)
    return deployment


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = new_context(browser)
    context.set_default_timeout(180_000)  # for a busy machine
    yield context.new_page()
    context.close()


def remove(home: Path) -> None:
    """Remove an emulated Azure with everything it made on the host."""
    instance = Instance.open(home)
    teardown.remove(instance)
    assert teardown.verify_clean(instance) == []
    shutil.rmtree(home, ignore_errors=True)
