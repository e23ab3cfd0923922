"""The commands of backup-cli on a folder that stands for the machine, with the real restic."""

from __future__ import annotations

import errno
import io
import json
import shutil
import time
from pathlib import Path

import disks
import pytest
from backup import check, repository, restore, stage, state
from backup.__main__ import is_check_due, main
from backup.places import DataPlaces
from backup.state import BackupState
from webui import service as webui_service
from webui.errors import WebuiError

from tests.unit.guest.backup.chat import IMAGE, add_chat, chats, make_chat, set_up


class OpenWebui:
    """The service: `log` is what systemd was asked, and `broken` makes the next start fail."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.broken = False

    def run(self, command: list[str]) -> None:
        self.log.append(" ".join(command[1:]))

    def wait_until_ready(self) -> None:
        if self.broken:
            self.broken = False
            raise WebuiError("its process ended.")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine with a checked backup of one chat; restic's work is done once."""
    places = make_chat(tmp_path_factory.mktemp("machine"))
    assert main(["up"], places) == 0
    assert main(["check"], places) == 0
    return places.root


@pytest.fixture
def places(saved: Path, tmp_path: Path) -> DataPlaces:
    """A copy of that machine, on which a second chat was written after the backup."""
    shutil.copytree(saved, tmp_path / "machine")
    places = DataPlaces(tmp_path / "machine")
    set_up(places, places.key.read_text())
    add_chat(places, "after the backup")
    return places


@pytest.fixture
def webui(places: DataPlaces, monkeypatch: pytest.MonkeyPatch) -> OpenWebui:
    service = OpenWebui()
    monkeypatch.setattr(restore, "run", service.run)
    monkeypatch.setattr(restore, "wait_until_ready", service.wait_until_ready)
    monkeypatch.setattr(webui_service, "PUBLIC", places.root / "public")
    for name, file in (("STATUS", "status.txt"), ("CLOSED", "upgrading")):
        monkeypatch.setattr(webui_service, name, places.root / "public" / file)
    monkeypatch.setattr(restore, "SESSION_FILE", places.root / "session")
    monkeypatch.setattr(restore, "WEBUI_CLI", "true")
    return service


def restore_with(
    monkeypatch: pytest.MonkeyPatch, places: DataPlaces, at: str | None = None, key: str = ""
) -> int:
    request = json.dumps({"at": at, "other_key": key})
    monkeypatch.setattr("sys.stdin", io.StringIO(request))
    return main(["restore"], places)


def test_a_backup_is_recorded_and_leaves_no_copy(places: DataPlaces) -> None:
    state = BackupState.read(places)
    assert state.since <= state.saved <= state.checked
    assert state.size > 0
    assert not places.staging.exists()
    assert not (places.home / "check").exists()


def test_a_restore_brings_back_everything_and_keeps_the_present_data(
    places: DataPlaces, webui: OpenWebui, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places.volume / "uploads/1_report.txt").unlink()
    (places.volume / "uploads/2_later.txt").write_text("later")
    (places.webui / "secrets.env").write_text("WEBUI_SECRET_KEY=second\n")
    assert restore_with(monkeypatch, places) == 0
    assert webui.log == ["stop open-webui.service", "start open-webui.service"]
    assert chats(places.volume) == ["hello"]
    assert [file.name for file in (places.volume / "uploads").iterdir()] == ["1_report.txt"]
    assert (places.webui / "secrets.env").read_text() == "WEBUI_SECRET_KEY=first\n"
    assert (places.volume / "vector_db/segment/data_level0.bin").read_bytes() == b"index"
    assert not list((places.root / "public").iterdir())
    assert places.image.read_text() == f"{IMAGE}\n"

    assert main(["undo"], places) == 0
    assert chats(places.volume) == ["hello", "after the backup"]
    assert (places.volume / "uploads/2_later.txt").read_text() == "later"


def test_data_that_does_not_work_goes_and_the_former_comes_back(
    places: DataPlaces, webui: OpenWebui, monkeypatch: pytest.MonkeyPatch
) -> None:
    webui.broken = True
    assert restore_with(monkeypatch, places) == 1
    assert chats(places.volume) == ["hello", "after the backup"]
    assert webui.log[-1] == "start open-webui.service"


def test_neither_a_backup_nor_a_restore_meets_an_upgrade(
    places: DataPlaces, webui: OpenWebui, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.upgrade_journal.parent.mkdir(parents=True)
    places.upgrade_journal.write_text("{}")
    assert main(["run"], places) == 1
    assert "is being upgraded" in BackupState.read(places).problem
    assert restore_with(monkeypatch, places) == 1
    assert not webui.log
    places.upgrade_journal.unlink()
    (places.upgrade_journal.parent / "copy").write_text("the data before an upgrade")
    assert main(["run"], places) == 0
    assert restore_with(monkeypatch, places) == 0
    assert not places.upgrade_journal.parent.exists()


def test_a_new_machine_of_another_stack_restores_with_the_former_key(
    places: DataPlaces, webui: OpenWebui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = make_chat(tmp_path / "new", key="key-of-the-new-stack")
    shutil.copytree(places.home / "repository", new.home / "repository")
    assert main(["up"], new) == 0
    assert "made with another key" in BackupState.read(new).problem
    assert main(["run"], new) == 1
    assert restore_with(monkeypatch, new, key="not-the-key") == 1
    assert restore_with(monkeypatch, new, key="the-key-of-the-stack") == 0
    assert BackupState.read(new).problem == ""
    assert main(["run"], new) == 0


def test_a_backup_of_a_later_version_is_refused_before_anything_changes(
    places: DataPlaces,
    webui: OpenWebui,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places.unit.write_text("Image=ghcr.io/open-webui/open-webui:v0.11.4\n")
    assert restore_with(monkeypatch, places) == 1
    assert "Set ollamazure:webuiVersion to v0.12.4 or later" in capsys.readouterr().err
    assert webui.log == []


def test_a_time_before_the_first_backup_is_refused(
    places: DataPlaces, webui: OpenWebui, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert restore_with(monkeypatch, places, at="2001-01-01") == 1
    assert restore_with(monkeypatch, places, at="yesterday") == 1
    assert webui.log == []


def test_a_failure_is_recorded_until_a_backup_succeeds(
    places: DataPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = places.home / "repository"
    folder.rename(places.home / "elsewhere")
    folder.write_text("no folder")
    monkeypatch.setattr(repository, "OPEN_SECONDS", 5)  # restic 0.18 goes on trying
    assert main(["run"], places) == 1
    assert "not a directory" in BackupState.read(places).problem
    folder.unlink()
    assert main(["run"], places) == 0
    assert BackupState.read(places).problem == ""


def test_a_full_disk_is_named_also_when_nothing_can_be_recorded(
    places: DataPlaces, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/data/backup/state.json")

    monkeypatch.setattr(stage, "LEAST_FREE", 10)
    monkeypatch.setattr(state, "write", write)
    monkeypatch.setattr(disks, "full_disks", lambda: iter(["The data disk is full: …"]))
    assert main(["run"], places) == 1
    printed = capsys.readouterr().err
    assert "Backup: the data disk has " in printed
    assert printed.endswith("The data disk is full: …\n")


@pytest.mark.parametrize(("days", "due"), [(-300, True), (1, False), (7, True)])
def test_a_check_with_a_time_in_the_future_is_due(places: DataPlaces, days: int, due: bool) -> None:
    state.change(places, checked=time.time() - days * 24 * 3600)
    assert is_check_due(places) == due


def test_a_damaged_repository_fails_the_check(
    places: DataPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "READ_PERCENT", 100)
    packs = [path for path in (places.home / "repository/data").rglob("*") if path.is_file()]
    largest = max(packs, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.chmod(0o600)
    largest.write_bytes(content)
    assert main(["check"], places) == 1
    assert BackupState.read(places).check_problem.startswith("restic: ")
