"""What a visit requested."""

from __future__ import annotations

import pytest

from tools.benchmarks.page import Visit

pytestmark = pytest.mark.unit


def test_hashed_files_are_counted_by_their_path() -> None:
    visit = Visit(
        requests={
            "1": "https://127.20.0.4/_app/immutable/chunks/a1b2.js",
            "2": "https://127.20.0.4/_app/version.json",
            "3": "https://127.20.0.4/?x=/_app/immutable/",
        }
    )
    assert visit.hashed == 1
