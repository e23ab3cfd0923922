"""Restored data takes the place of the present data, whatever moment the power fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from backup import swap
from backup.places import DataPlaces

from tests.unit.guest.backup.chat import make_chat

PowerCut = KeyboardInterrupt
RESTORED = {
    "webui.db": "restored",
    "uploads/2_new.txt": "restored",
    "open-webui/secrets.env": "restored",
}


def restored(places: DataPlaces) -> Path:
    """A folder with restored data, and a write-ahead log beside the present database."""
    (places.volume / "webui.db").write_text("present")
    (places.volume / "webui.db-wal").write_text("present")
    for name, text in RESTORED.items():
        path = places.home / "restored" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return places.home / "restored"


def content(places: DataPlaces) -> dict[str, str]:
    """The files that Open WebUI finds, the cache excepted."""
    found = {}
    for folder in (places.volume, places.webui):
        for path in folder.rglob("*"):
            if path.is_file() and "cache" not in path.parts:
                found[str(path.relative_to(folder))] = path.read_text(errors="replace")
    return found


def cut_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[Path]:
    """Cuts the power before the rename with this number; returns the renames that were done."""
    rename = Path.rename
    done: list[Path] = []

    def counted(path: Path, target: Path) -> Path:
        if len(done) == number:
            raise PowerCut
        done.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", counted)
    return done


@pytest.mark.parametrize("number", range(10))
def test_a_swap_ends_after_a_power_cut_before_each_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    places = make_chat(tmp_path)
    source, aside = restored(places), places.home / "former"
    before = content(places)
    with monkeypatch.context() as patch:
        renames = cut_at(patch, number)
        try:
            swap.swap(places, source, aside)
        except PowerCut:
            assert len(renames) == number
    swap.resume(places)
    after = content(places)
    assert after["webui.db"] == after["secrets.env"] == after["uploads/2_new.txt"] == "restored"
    assert "webui.db-wal" not in after
    assert not swap.journal(places).exists()

    # And back, with the write-ahead log that belongs to the database.
    swap.swap(places, aside, places.home / "undone")
    assert content(places) == before


def test_what_is_no_part_of_a_backup_stays(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    swap.swap(places, restored(places), places.home / "former")
    assert (places.volume / "cache/model").read_text() == "not saved"


def test_without_an_interrupted_swap_nothing_happens(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    before = content(places)
    swap.resume(places)
    assert content(places) == before
