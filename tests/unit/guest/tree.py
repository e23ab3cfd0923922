"""The machine's files in `guest/`."""

from __future__ import annotations

from pathlib import Path

from components.remote_command import GUEST


def files() -> list[Path]:
    """All files, without the bytecode of modules that tests import."""
    return sorted(
        path for path in GUEST.rglob("*") if path.is_file() and path.parent.name != "__pycache__"
    )
