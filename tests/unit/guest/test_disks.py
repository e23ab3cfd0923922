"""What the machine says about a disk that is full. Real ones: tests/e2e/test_full_disks.py."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import disks
import pytest


def left(monkeypatch: pytest.MonkeyPatch, blocks: int, files: int, *, of: int = 100) -> None:
    """Let every disk have so many of 100 blocks, and of `of` inodes, left."""
    used = {"f_frsize": 2**20, "f_blocks": 100, "f_bavail": blocks, "f_files": of}
    found = SimpleNamespace(**used, f_favail=files)
    monkeypatch.setattr(os, "statvfs", lambda _: found)


def test_of_a_disk_that_is_nearly_full_the_largest_folders_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, size in {"ollama": 3, "containers/volumes": 1, "containers/overlay": 2}.items():
        (tmp_path / folder).mkdir(parents=True)
        for number in range(4 - size):
            (tmp_path / folder / f"{number}").write_bytes(b"x" * size**2 * 2**20)
    monkeypatch.setitem(disks.FOLDERS, tmp_path, disks.FOLDERS[disks.DATA])

    def names(largest: list[tuple[str, int]]) -> list[str]:
        return [path.removeprefix(f"{tmp_path}/") for path, _ in largest]

    left(monkeypatch, 16, 16)
    usage = disks.usage_of(tmp_path)
    assert (usage["full"], usage["largest"]) == (False, [])
    assert (usage["files"]["full"], usage["files"]["largest"]) == (False, [])
    left(monkeypatch, 14, 14)
    usage = disks.usage_of(tmp_path)
    by_size, by_number = names(usage["largest"]), names(usage["files"]["largest"])
    assert by_size == ["ollama", "containers/overlay", "containers/volumes"]
    assert by_number == ["containers/volumes", "containers/overlay", "ollama"]


@pytest.mark.parametrize(
    ("blocks", "files", "words"),
    [
        (16, 16, None),
        (14, 50, "is nearly full: 14 of 100 MiB free. `sudo systemctl start ollamazure-cleanup`"),
        (0, 50, "is full: 0 of 100 MiB free. `sudo systemctl start ollamazure-cleanup` on the"),
        (50, 3, "has no room for many more files: 3 of 100 inodes free. `sudo systemctl start"),
    ],
)
def test_a_sentence_names_the_disk_and_how_to_free_space(
    monkeypatch: pytest.MonkeyPatch, blocks: int, files: int, words: str | None
) -> None:
    """/proc and /dev stand for the data disk and another file system."""
    monkeypatch.setattr(disks, "DATA", Path("/proc"))
    written = (disks.SYSTEM, Path("/proc"), Path("/dev"), Path("/proc/self"), Path("/missing"))
    monkeypatch.setattr(disks, "WRITTEN", written)
    left(monkeypatch, blocks, files)
    sentences = [*disks.full_disks()]
    if words is None:
        assert sentences == []
        return
    names = ["The system disk", "The data disk", "The file system at /dev"]
    for name, sentence in zip(names, sentences, strict=True):
        assert sentence.startswith(f"{name} {words}")
        assert ("dataDiskGiB" in sentence) == (name == "The data disk")


def test_a_file_system_without_a_limit_of_files_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 50, 0, of=0)
    assert [*disks.full_disks()] == []
