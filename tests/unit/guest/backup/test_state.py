"""What `status` shows of the backups."""

from __future__ import annotations

import time
from pathlib import Path

from backup import state
from backup.places import DataPlaces

from tests.unit.guest.backup.chat import make_chat


def test_without_backups_there_is_no_state(tmp_path: Path) -> None:
    assert state.status(DataPlaces(tmp_path)) is None


def test_a_stack_without_a_backup_counts_from_the_setup(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    places.home.mkdir()
    before = time.time()
    first = state.change(places, problem="no server")
    assert before <= first.since <= time.time()
    second = state.change(places, problem="")
    assert second.since == first.since
    found = state.status(places)
    assert found is not None
    assert (found["since"], found["saved"]) == (first.since, 0)


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    places.home.mkdir()
    (places.home / "state.json").write_text("{")
    assert state.BackupState.read(places) == state.BackupState()
