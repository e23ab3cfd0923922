"""The folder in which an emulated Azure records its number."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator.instance import Instance


def test_without_root_nothing_outside_the_users_own_folders_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a workflow's preview, in plan mode, runs as the runner's ordinary user."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = (Instance.open(tmp_path / name) for name in ("first", "second"))

    noted = tmp_path / "cache" / "ollamazure" / "instances"
    assert (noted / str(first.number)).read_text() == str(first.home)
    assert (noted / str(second.number)).read_text() == str(second.home)
