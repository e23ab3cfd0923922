"""Reading the kernel's values on the machine. Services and models: tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
import status

MEMINFO = """\
MemTotal:        8129836 kB
MemFree:          213160 kB
MemAvailable:    3251232 kB
HugePages_Total:       0
"""


def test_free_memory_is_what_is_available_to_programs() -> None:
    assert status.memory(MEMINFO) == {"total": 8129836 * 1024, "free": 3251232 * 1024}


def test_a_folder_on_the_system_disk_is_no_data_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "DATA", tmp_path)
    assert status.data_disk() is None
    monkeypatch.setattr(status, "DATA", Path("/proc"))
    assert status.data_disk() is not None
