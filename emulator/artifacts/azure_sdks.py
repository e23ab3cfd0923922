"""Microsoft's SDKs for Python, with which tests judge the emulated Azure: those of three years."""

from __future__ import annotations

from emulator.artifacts.python_packages import locked

YEARS = (2026, 2025, 2024)
"""The newest first, which is the one in `make test`."""


def name_of(year: int) -> str:
    """The artifact of a year's SDKs."""
    return f"azure-sdks-{year}"


ARTIFACTS = tuple(locked(name_of(year), gib=1) for year in YEARS)
