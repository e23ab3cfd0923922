"""The two tiers of the tests: `make test` has one case of each mechanism, `make test-long` all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def first_of(cases: Iterable[Any]) -> list[Any]:
    """The cases of a test (tuples if it has several parameters); `make test` has the first."""
    first, *others = (case if isinstance(case, tuple) else (case,) for case in cases)
    rest = (pytest.param(*case, marks=pytest.mark.long) for case in others)
    return [pytest.param(*first), *rest]
