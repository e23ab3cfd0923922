"""One machine for all end-to-end tests, made by the program and removed when they end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(ignore_https_errors=True, locale="en-US")
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def remove(home: Path) -> None:
    """Remove an emulated Azure with everything it made on the host."""
    instance = Instance.open(home)
    teardown.remove(instance)
    assert teardown.verify_clean(instance) == []
    shutil.rmtree(home, ignore_errors=True)
