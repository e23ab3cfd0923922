"""How the tests are spread over processes (pytest-xdist): together stays what shares a fixture."""

from __future__ import annotations

import pytest

# The longest first, so that no process is left with them at the end.
_ORDER = ("deployment", "e2e", "engine", "unit")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests by the machine they share, else by file, and put the longest first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)


def _group(item: pytest.Item) -> str:
    return "deployment" if _shares_the_machine(item) else str(item.path)


def _rank(item: pytest.Item) -> int:
    kind = "deployment" if _shares_the_machine(item) else item.path.parts[-2]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _shares_the_machine(item: pytest.Item) -> bool:
    return "deployment" in getattr(item, "fixturenames", ())
