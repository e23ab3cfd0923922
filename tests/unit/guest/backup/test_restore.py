"""Which backup a time means, and how long former data stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from backup import restore
from backup.errors import BackupError
from backup.repository import Snapshot

from tests.unit.guest.backup.chat import make_chat

NIGHTS = [
    Snapshot("first", datetime(2027, 1, 30, 2, 31, 7, tzinfo=UTC)),
    Snapshot("second", datetime(2027, 1, 31, 2, 44, 59, tzinfo=UTC)),
]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (None, "second"),
        ("2027-01-31", "second"),
        ("2027-01-30", "first"),
        ("2027-01-31 02:44", "second"),
        ("2027-01-31 02:43", "first"),
        ("2027-01-31T02:44:58", "first"),
    ],
)
def test_a_time_means_the_newest_backup_until_its_end(at: str | None, expected: str) -> None:
    assert restore.choose(NIGHTS, at).id == expected


def test_a_backup_of_the_future_is_not_the_newest() -> None:
    now = datetime.now(UTC)
    [last, wrong] = [Snapshot("last", now), Snapshot("wrong", now + timedelta(days=300))]
    assert restore.choose([last, wrong], None) == last
    assert restore.choose([last, wrong], f"{wrong.time:%Y-%m-%d}") == wrong
    assert restore.choose([wrong], None) == wrong


def test_a_time_without_a_backup_is_refused() -> None:
    with pytest.raises(BackupError, match="the first backup is of 2027-01-30 02:31 UTC"):
        restore.choose(NIGHTS, "2027-01-29")
    with pytest.raises(BackupError, match="no backup"):
        restore.choose([], None)


def test_former_data_goes_after_a_week(tmp_path: Path) -> None:
    places, now = make_chat(tmp_path), datetime.now(UTC)
    ages = [timedelta(days=8), timedelta(days=6)]
    folders = [places.home / restore.former_name(now - age) for age in ages]
    for folder in folders:
        folder.mkdir(parents=True)
    restore.remove_old_formers(places)
    assert restore.former_folders(places) == folders[1:]


def test_certificates_come_to_a_machine_without_any(tmp_path: Path) -> None:
    places, scratch = make_chat(tmp_path), tmp_path / "restored"
    (scratch / "acme/1234/live/chat.example.com").mkdir(parents=True)
    restore.keep_certificates(places, scratch)
    assert (places.acme / "1234/live/chat.example.com").exists()

    (scratch / "acme/5678/live/chat.example.com").mkdir(parents=True)
    restore.keep_certificates(places, scratch)
    assert not (places.acme / "5678").exists()
