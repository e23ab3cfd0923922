"""Whether memory grows while people ask."""

from __future__ import annotations

import pytest

from tools.benchmarks.load import halves
from tools.benchmarks.measurement import Spread

pytestmark = pytest.mark.unit


def test_the_last_minutes_are_compared_with_the_first_settled_ones() -> None:
    memory = [(0.0, 300.0), (1.9, 900.0), (2.0, 400.0), (4.0, 410.0), (6.0, 420.0), (9.9, 430.0)]
    assert halves(memory) == (Spread.of(400), Spread.of(430))


def test_a_short_run_has_both() -> None:
    assert halves([(0.1, 300.0)]) == (Spread.of(300), Spread.of(300))
