"""Reading the kernel's values on the machine. Services and models: tests/e2e."""

from __future__ import annotations

import shutil
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
    monkeypatch.setattr("status.DATA", tmp_path)
    assert status.data_disk() is None
    monkeypatch.setattr("status.DATA", Path("/proc"))
    assert status.data_disk() is not None


def test_of_a_disk_that_is_nearly_full_the_largest_folders_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, size in {"ollama": 3, "containers/volumes": 1, "containers/overlay": 2}.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_bytes(b"x" * size * 2**20)
    monkeypatch.setitem(status.FOLDERS, tmp_path, status.FOLDERS[Path("/srv/data")])
    usage = shutil._ntuple_diskusage
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 84, 16))
    assert status.usage_of(tmp_path)["largest"] == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 86, 14))
    assert [
        path.removeprefix(f"{tmp_path}/") for path, _ in status.usage_of(tmp_path)["largest"]
    ] == [
        "ollama",
        "containers/overlay",
        "containers/volumes",
    ]
