"""How the tests run: with Ctrl-C in force, and spread over processes (pytest-xdist)."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from emulator.host import teardown
from emulator.instance import Instance

# Fixtures of the machine that many files share, in the order of use. All files that use them run in
# one process, and first, because they take longest.
MACHINES = ("deployment", "team")
# With the long tests, two processes share the files, each with a machine of its own: the first has
# those before this one, which take about as long as the others.
SECOND_HALF = "test_hardening.py"
# The process for the files that ask for one of these fixtures.
_PROCESSES = dict.fromkeys(MACHINES, "machine") | dict.fromkeys(
    ("planned", "checked_up"), "planned"
)
_ORDER = ("e2e", "engine", "unit")
_DEAD_BEFORE = pytest.StashKey[list[Instance]]()


class _BySharedOrFile(LoadScopeScheduling):  # type: ignore[misc]  # a base without types
    """A file's tests run in one process; so do all files that share a deployment."""

    def _split_scope(self, nodeid: str) -> str:
        path = self.config.rootpath / nodeid.partition("::")[0]
        shared = shared_fixture(path)
        with_long_tests = not self.config.getoption("markexpr")
        if with_long_tests and shared == "deployment" and path.name < SECOND_HALF:
            return "first half of the machine's files"
        return _PROCESSES[shared] if shared else str(path)


@cache
def shared_fixture(file: Path) -> str | None:
    """The fixture of _PROCESSES that a file asks for, read from its text: the process that
    hands out the tests collects none, so it has no fixtures to look at."""
    names = {
        argument.arg
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and _is_run_by_pytest(node)
        for argument in node.args.args
    }
    return next((fixture for fixture in _PROCESSES if fixture in names), None)


def _is_run_by_pytest(function: ast.FunctionDef) -> bool:
    """Whether it is a test or a fixture."""
    decorators = map(ast.unparse, function.decorator_list)
    return function.name.startswith("test_") or any("fixture" in one for one in decorators)


def pytest_configure() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C, and so would all that
    they start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Let the machine's tests go first wherever processes compete: they wait for each other, so
    they end last."""
    is_on_machine = shared_fixture(item.path) in MACHINES
    with contextlib.suppress(PermissionError):  # only root goes back to the normal priority
        os.setpriority(os.PRIO_PROCESS, 0, 0 if is_on_machine else 10)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Note what others have left on this host: their runs fail for it."""
    is_root = os.geteuid() == 0
    session.config.stash[_DEAD_BEFORE] = teardown.dead_instances() if is_root else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what the run has left on the host. A run that has left something fails.

    A process of it that was killed leaves everything; pytest-xdist kills them itself when the
    removal takes ten seconds after Ctrl-C.
    """
    config = session.config
    if hasattr(config, "workerinput") or os.geteuid() != 0:
        return
    all_processes = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    dead = [one for one in teardown.dead_instances() if one not in config.stash[_DEAD_BEFORE]]
    for instance in (*Instance.below(all_processes), *dead):
        if left := teardown.verify_clean(instance):
            print(f"\nThe tests have left on this host: {', '.join(left)} ({instance.home}).")
            _end_processes_of(instance)
            teardown.remove(instance)
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        instance.release()


def _end_processes_of(instance: Instance) -> None:
    """End the Pulumi runs that would make its machines again."""
    mark = f"OLLAMAZURE_EMULATOR={instance.home}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return the scheduler of a run with several processes."""
    return _BySharedOrFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder and tier, and put first what takes longest.

    Of a table of engine or e2e tests, only the first row is in `make test`.
    """
    for item in items:
        if (kind := _kind(item)) in _ORDER:
            item.add_marker(kind)
        if kind != "unit" and _is_a_later_row(item):
            item.add_marker("long")
    items.sort(key=_rank)


def _is_a_later_row(item: pytest.Item) -> bool:
    """Whether another test has the same function and rows of its table that come before."""
    table = getattr(item, "callspec", None)
    return table is not None and any(table.indices.values())


def _rank(item: pytest.Item) -> int:
    if (fixture := shared_fixture(item.path)) in MACHINES:
        return MACHINES.index(fixture) - len(MACHINES)
    kind = _kind(item)
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _kind(item: pytest.Item) -> str:
    """The folder below tests/ that it is in, which is the name of a marker as well."""
    return item.path.relative_to(item.config.rootpath / "tests").parts[0]
