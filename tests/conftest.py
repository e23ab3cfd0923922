"""How the tests run: with Ctrl-C in force, and spread over processes (pytest-xdist), where together
stays what shares a machine."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# These share the machine of the fixture `deployment` (tests/e2e/conftest.py), and run first: they
# take longest.
_ONE_MACHINE = (
    "e2e/test_application.py",
    "e2e/test_chat.py",
    "e2e/test_deployment_steps.py",
    "e2e/test_drift.py",
    "e2e/test_machine.py",
    "e2e/test_operations.py",
    "e2e/test_people.py",
    "e2e/test_people_contract.py",
    "e2e/test_rotation.py",
    "e2e/test_sign_in.py",
    "e2e/test_survival.py",
)
_ORDER = ("e2e", "engine", "unit")


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # a base without types
    """A file's tests run in one process; so do all that share a machine."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "the machine" if file.endswith(_ONE_MACHINE) else file


def pytest_configure() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C, and so would all that
    they start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The scheduler of a run with several processes."""
    return _ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first, so that no process is left with it at the end."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if item.path.as_posix().endswith(_ONE_MACHINE):
        return -1
    kind = item.path.relative_to(item.config.rootpath / "tests").parts[0]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
