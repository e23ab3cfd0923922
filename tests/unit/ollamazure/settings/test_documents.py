"""The files of knowledge bases."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamazure.settings import team_file
from ollamazure.settings.documents import documents, fault_of_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(team_file, "PROJECT", tmp_path)
    made = tmp_path / "handbook"
    made.mkdir()
    return made


def test_each_text_is_sent_once(folder: Path) -> None:
    (folder / "a.md").write_bytes(b"One\nTwo\n")
    (folder / "b.md").write_bytes(b"One\r\nTwo\r\n")
    (folder / "c.txt").write_bytes(b"One\nTwo\n")
    (folder / "d.md").write_bytes(b"Three\n")
    assert [each.name for each in documents(["handbook"])] == ["a.md", "d.md"]
    assert fault_of_path("handbook") is None


def test_all_faults_of_a_folder_are_reported(folder: Path) -> None:
    (folder / "good.md").write_text("Text")
    (folder / "empty.md").touch()
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF")
    below = folder / "below"
    below.mkdir()
    (below / "slides.pptx").write_bytes(b"PK")
    fault = fault_of_path("handbook") or ""
    assert [part.partition(" is ")[0] for part in fault.split("; its ")] == [
        "its file below/slides.pptx",
        "file empty.md",
        "file photo.jpg",
    ]


def test_a_long_list_of_faults_is_cut(folder: Path) -> None:
    for number in range(12):
        (folder / f"{number:02}.md").touch()
    assert (fault_of_path("handbook") or "").endswith("09.md is empty; and 2 more files")
