"""How the tests run: with Ctrl-C in force, and spread over processes (pytest-xdist)."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from xdist.scheduler import LoadGroupScheduling

# Fixtures that deploy a machine for many files. The tests that use one run in one process, and
# first, because they take longest.
MACHINES = ("deployment", "team")
_ORDER = ("e2e", "engine", "unit")


class _ByMachineOrFile(LoadGroupScheduling):  # type: ignore[misc]  # a base without types
    """Tests that share a machine run in one process; so do the other tests of a file."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return scope.partition("::")[0]


def pytest_configure() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C, and so would all that
    they start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return the scheduler of a run with several processes.

    Raises:
        pytest.UsageError: the run would not group the tests that share a machine.
    """
    if config.getoption("dist") != "loadgroup":
        raise pytest.UsageError("tests that share a machine need --dist loadgroup")
    return _ByMachineOrFile(config, log)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder and tier, group them by the machine that they share, and put first
    what takes longest.

    Of a table of engine or e2e tests, only the first row is in `make test`.
    """
    for item in items:
        if (kind := _kind(item)) in _ORDER:
            item.add_marker(kind)
        if kind != "unit" and _is_a_later_row(item):
            item.add_marker("long")
        if machine := _machine(item):
            item.add_marker(pytest.mark.xdist_group(machine))
    items.sort(key=_rank)


def _machine(item: pytest.Item) -> str | None:
    names = getattr(item, "fixturenames", ())
    return next((name for name in reversed(MACHINES) if name in names), None)


def _is_a_later_row(item: pytest.Item) -> bool:
    """Whether another test has the same function and rows of its table that come before."""
    table = getattr(item, "callspec", None)
    return table is not None and any(table.indices.values())


def _rank(item: pytest.Item) -> int:
    if machine := _machine(item):
        return MACHINES.index(machine) - len(MACHINES)
    kind = _kind(item)
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _kind(item: pytest.Item) -> str:
    """The folder below tests/ that it is in, which is the name of a marker as well."""
    return item.path.relative_to(item.config.rootpath / "tests").parts[0]
