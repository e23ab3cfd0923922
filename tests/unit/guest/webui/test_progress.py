"""Lines of progress while a block runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from webui import progress
from webui.progress import Rate, size_of


def test_what_is_done_is_printed_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    lines: list[str] = []
    printed = threading.Event()

    def say(line: str) -> None:
        lines.append(line)
        printed.set()

    with progress.progress("Copying", 2_000_000_000, lambda: 500_000_000, say):
        assert printed.wait(60)
    assert lines[0].startswith("  Copying: 500 of 2000 MB (25 %), ")
    assert lines[0].endswith(" MB/s")
    assert not [one for one in threading.enumerate() if one.name == "progress"]


def test_a_file_that_disappears_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    asked = threading.Event()

    def done() -> int:
        asked.set()
        raise FileNotFoundError

    with progress.progress("Copying", 1, done, print):
        assert asked.wait(60)


def test_the_rate_is_that_since_the_line_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 10.0, 20.0))
    monkeypatch.setattr("webui.progress.time.monotonic", lambda: next(clock))
    rate = Rate()
    assert rate.line(100_000_000, 300_000_000) == "100 of 300 MB (33 %), 10.0 MB/s"
    assert rate.line(325_000_000, 300_000_000) == "325 of 300 MB (100 %), 22.5 MB/s"


def test_files_of_a_folder_are_added(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"12345")
    (tmp_path / "c").write_bytes(b"123")
    assert size_of(tmp_path) == 8
