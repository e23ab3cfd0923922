"""The machine's files as they lie in `guest/`."""

from __future__ import annotations

from pathlib import Path

from components.remote_command import GUEST


def files() -> list[Path]:
    """All of them, without the bytecode that Python leaves beside modules which tests import."""
    return sorted(
        path for path in GUEST.rglob("*") if path.is_file() and path.parent.name != "__pycache__"
    )
