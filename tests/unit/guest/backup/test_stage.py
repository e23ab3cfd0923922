"""The copy that restic saves: consistent while people chat."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from backup import stage
from backup.errors import BackupError

from tests.unit.guest.backup.chat import chats, connect, make_chat

Usage = namedtuple("Usage", "total used free")


def test_the_copy_is_consistent_while_people_chat(tmp_path: Path) -> None:
    """A writer adds files with their rows: each row of the copy has its file in the copy."""
    places, stop = make_chat(tmp_path), threading.Event()

    def chat() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            path = places.volume / f"uploads/{number}_note.txt"
            path.write_text(f"note {number}")
            with connect(places) as database:
                database.execute("INSERT INTO file VALUES (?)", [path.name])

    writer = threading.Thread(target=chat)
    writer.start()
    try:
        for _ in range(5):
            stage.stage(places)
            names = {path.name for path in (places.staging / "uploads").iterdir()}
            with contextlib.closing(sqlite3.connect(places.staging / "webui.db")) as copy:
                rows = {name for (name,) in copy.execute("SELECT path FROM file")}
                assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert rows <= names
    finally:
        stop.set()
        writer.join()


def test_what_is_only_in_the_write_ahead_log_is_in_the_copy(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    with connect(places) as user:
        user.execute("INSERT INTO chat VALUES ('just now')")
        user.commit()
        assert (places.volume / "webui.db-wal").stat().st_size > 0
        stage.stage(places)
    assert chats(places.staging) == ["hello", "just now"]
    assert not list(places.staging.glob("webui.db-*"))


def test_a_file_that_is_deleted_during_the_copy_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, copy = make_chat(tmp_path), stage.copy_database

    def copy_then_delete(source: Path, target: Path) -> None:
        copy(source, target)
        (places.volume / "uploads/1_report.txt").unlink(missing_ok=True)

    monkeypatch.setattr(stage, "copy_database", copy_then_delete)
    stage.stage(places)
    assert (places.staging / "uploads/1_report.txt").read_text() == "quarterly numbers"


def test_uploads_take_no_space_a_second_time(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    stage.stage(places)
    report = "uploads/1_report.txt"
    assert (places.volume / report).samefile(places.staging / report)


def test_the_copy_has_all_that_a_new_machine_needs_and_no_more(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    (places.volume / "audit").mkdir()
    stage.stage(places)
    files = {
        str(it.relative_to(places.staging)) for it in places.staging.rglob("*") if it.is_file()
    }
    assert files == {
        "declared/user/alice.json",
        "manifest.json",
        "open-webui/secrets.env",
        "uploads/1_report.txt",
        "vector_db/chroma.sqlite3",
        "vector_db/segment/data_level0.bin",
        "webui.db",
    }
    manifest = json.loads((places.staging / "manifest.json").read_text())
    assert manifest == {
        "webui": "0.12.4",
        "database": stage.sha256_of(places.staging / "webui.db"),
        "accounts": 2,
        "chats": 1,
        "files": 0,
    }


def test_an_index_that_changes_during_the_copy_is_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, copy = make_chat(tmp_path), stage.copy_database
    index = places.volume / "vector_db/segment/data_level0.bin"
    contents = [b"newer index"]
    monkeypatch.setattr(stage, "PAUSE_SECONDS", 0)

    def embed_meanwhile(source: Path, target: Path) -> None:
        copy(source, target)
        if source.name == "chroma.sqlite3" and contents:
            index.write_bytes(contents.pop())

    monkeypatch.setattr(stage, "copy_database", embed_meanwhile)
    stage.stage(places)
    assert (places.staging / "vector_db/segment/data_level0.bin").read_bytes() == b"newer index"

    contents += [str(number).encode() * number for number in range(20)]
    with pytest.raises(BackupError, match="documents were being embedded"):
        stage.stage(places)


def test_a_backup_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = make_chat(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * 2**20, 0, 5 * 2**20))
    with pytest.raises(BackupError, match="has 5 MiB free, and a backup needs up to 5 MiB"):
        stage.stage(places)
    assert not places.staging.exists()


def test_without_a_database_nothing_is_saved(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    (places.volume / "webui.db").unlink()
    with pytest.raises(BackupError, match="no database yet"):
        stage.stage(places)
