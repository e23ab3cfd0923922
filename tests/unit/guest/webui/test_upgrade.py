"""Upgrades of Open WebUI on real files and databases, cut off at every step. Real: tests/e2e."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from webui import upgrade
from webui.__main__ import main
from webui.errors import WebuiError

from tests.unit.guest.webui.volume import NEW, OLD, UPLOAD, Machine, machine

__all__ = ["machine"]
CUT = 9
STEPS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod", "sqlite3.connect")
# In `make test` only some of the steps.
EVERY = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])


class PowerCut:
    """Runs in a process of its own, which is killed at its n-th step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def __call__(self, event: str, details: Any) -> None:
        if event in STEPS or (event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR)):
            self._left -= 1
            if self._left < 0:
                os._exit(CUT)


def cut_at(step: int, work: Callable[[], Any]) -> bool:
    """Whether `work` was killed at its n-th step; else it has ended."""
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(PowerCut(step))
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, CUT), "it failed by itself"
    return code == CUT


def every_cut(every: int, work: Callable[[], Any], prepare: Callable[[], Any]) -> Iterator[int]:
    """Kills `work` at its steps, each time after `prepare`; yields after each cut."""
    for step in itertools.count(0, every):
        prepare()
        if not cut_at(step, work):
            break
        yield step


class Saved(NamedTuple):
    """The machine before an upgrade, to start from again."""

    machine: Machine
    state: dict[str, Any]

    @classmethod
    def of(cls, machine: Machine) -> Saved:
        saved = cls(machine, machine.state())
        for name in ("volume", "srv", "etc", "var"):
            shutil.copytree(machine.root / name, machine.root / "saved" / name)
        return saved

    def restore(self) -> None:
        root = self.machine.root
        for name in ("volume", "srv", "etc", "var"):
            shutil.rmtree(root / name)
            shutil.copytree(root / "saved" / name, root / name)
        (root / "unit").write_text("ActiveState=active\nNRestarts=0\n")

    def is_back(self) -> None:
        assert self.machine.state() == self.state
        assert upgrade.former_image() == OLD
        assert not upgrade.JOURNAL.exists()
        assert not upgrade.COPY.exists()


@pytest.fixture
def saved(machine: Machine) -> Saved:
    return Saved.of(machine)


def begin() -> None:
    upgrade.begin(NEW)


@EVERY
def test_a_power_cut_while_the_data_are_copied(saved: Saved, every: int) -> None:
    for _ in every_cut(every, begin, saved.restore):
        upgrade.recover()
        saved.is_back()


@EVERY
def test_a_power_cut_while_the_former_version_comes_back(saved: Saved, every: int) -> None:
    def prepare() -> None:
        saved.restore()
        begin()
        saved.machine.run_new_version()

    for _ in every_cut(every, upgrade.recover, prepare):
        upgrade.recover()
        saved.is_back()


def test_a_power_cut_while_an_upgrade_is_completed(saved: Saved) -> None:
    """Either version is there as a whole, and the record names it."""

    def prepare() -> None:
        saved.restore()
        begin()
        saved.machine.run_new_version()
        (saved.machine.root / "unit").write_text("ActiveState=active\n")

    kept = []
    for _ in every_cut(1, upgrade.finish, prepare):
        upgrade.recover()
        kept.append(upgrade.former_image())
        if kept[-1] == OLD:
            saved.is_back()
        else:
            assert saved.machine.chats() == []
            assert upgrade.DESCRIPTION.exists()
    assert kept == sorted(kept)
    assert {*kept} == {OLD, NEW}


def test_a_file_that_never_changes_is_linked_and_the_rest_is_copied(machine: Machine) -> None:
    begin()
    data = upgrade.COPY / "data"

    def is_linked(name: str) -> bool:
        return (data / name).samefile(machine.volume / name)

    assert is_linked(UPLOAD)
    assert not is_linked("uploads/model.gguf")
    assert not is_linked("vector_db/8f7d/data_level0.bin")
    assert sorted(path.name for path in data.iterdir()) == [
        "old_config.json",
        "uploads",
        "vector_db",
        "webui.db",
    ]


def test_users_see_the_page_until_the_new_version_has_answered(machine: Machine) -> None:
    begin()
    assert "stop open-webui.service" in (machine.root / "systemctl").read_text()
    assert upgrade.JOURNAL.stat().st_mode & 0o777 == 0o600
    closed = machine.root / "run/ollamazure/public/upgrading"
    assert closed.exists()
    machine.run_new_version()
    (machine.root / "unit").write_text("ActiveState=active\n")
    upgrade.finish()
    assert not closed.exists()
    assert not closed.with_name("status.txt").exists()
    assert upgrade.former_image() == NEW


def test_a_version_that_cannot_chat_goes_back(
    saved: Saved, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = saved.machine
    machine.broken.add(NEW)
    (machine.root / "journal").write_text(
        "Running upgrade 1 -> 2, Add everything\n[parameters: ('a chat',)]\n    │ a chat\n"
    )
    begin()
    machine.run_new_version()
    (machine.root / "unit").write_text("ActiveState=active\n")
    assert main(["upgrade", "finish"]) == 1
    saved.is_back()
    printed = capsys.readouterr().err
    assert "v0.12.4 does not work: small:1b does not answer: no such model" in printed
    assert "v0.11.4 is back, with all data" in printed
    assert str(upgrade.LOG) in printed
    log = upgrade.LOG.read_text()
    assert "Add everything" in log
    assert "a chat" not in log + printed
    assert (machine.volume / "audit/audit.log").read_text() == "one line\nanother line\n"
    assert "restart open-webui.service" in (machine.root / "systemctl").read_text()
    assert not (machine.root / "run/ollamazure/public/upgrading").exists()


def test_a_version_that_ends_goes_back(saved: Saved, capsys: pytest.CaptureFixture[str]) -> None:
    begin()
    saved.machine.run_new_version()
    (saved.machine.root / "unit").write_text("ActiveState=failed\n")
    assert main(["upgrade", "finish"]) == 1
    saved.is_back()
    assert "its process ended" in capsys.readouterr().err


def test_a_script_that_fails_goes_back_only_if_an_upgrade_has_begun(saved: Saved) -> None:
    assert main(["upgrade", "put-back"]) == 0
    saved.is_back()
    begin()
    assert main(["upgrade", "put-back"]) == 1
    saved.is_back()


def test_data_that_cannot_be_copied_stay(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("webui.copying.shutil.copyfile", fail)
    with pytest.raises(WebuiError, match=r"cannot be copied: .*No space left"):
        begin()
    saved.is_back()


def test_the_same_image_and_a_new_instance_need_no_copy(machine: Machine) -> None:
    upgrade.begin(OLD)
    (machine.volume / "webui.db").unlink()
    upgrade.begin(NEW)
    assert not upgrade.FOLDER.exists()


def test_an_older_version_is_refused(saved: Saved) -> None:
    with pytest.raises(WebuiError, match=r"v0.9.9 cannot read the data of v0.11.4"):
        upgrade.begin("ghcr.io/open-webui/open-webui:v0.9.9")
    saved.is_back()


def test_a_copy_that_does_not_fit_is_refused(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=upgrade.SPARE)
    monkeypatch.setattr("webui.upgrade.shutil.disk_usage", lambda _: usage)
    with pytest.raises(WebuiError, match=r"needs 0.5 GiB .* Nothing has been changed."):
        begin()
    saved.is_back()
    assert not (saved.machine.root / "systemctl").exists()  # so it has not been stopped


def test_the_data_before_the_last_upgrade_can_come_back(saved: Saved) -> None:
    begin()
    saved.machine.run_new_version()
    (saved.machine.root / "unit").write_text("ActiveState=active\n")
    upgrade.finish()
    assert upgrade.undo() == OLD
    saved.is_back()
    with pytest.raises(WebuiError, match="keeps no data"):
        upgrade.undo()


def test_an_upgrade_removes_the_copy_of_the_one_before(machine: Machine) -> None:
    begin()
    machine.run_new_version()
    (machine.root / "unit").write_text("ActiveState=active\n")
    upgrade.finish()
    later = NEW.replace("12.4", "12.5")
    (machine.volume / "kept.json").touch()
    upgrade.begin(later)
    assert (upgrade.COPY / "data/kept.json").exists()
    assert not (upgrade.COPY / "data" / UPLOAD).exists()
    assert not upgrade.DESCRIPTION.exists()


def test_at_boot_no_start_is_cancelled(saved: Saved) -> None:
    """`systemctl stop` would remove the start that waits for this."""
    begin()
    log = saved.machine.root / "systemctl"
    log.write_text("")
    assert main(["upgrade", "recover", "boot"]) == 0
    saved.is_back()
    commands = [line for line in log.read_text().splitlines() if not line.startswith("show")]
    assert commands == ["daemon-reload"]


def test_the_sizes_are_those_of_the_copy(machine: Machine) -> None:
    sizes = upgrade.sizes()
    assert sizes["linkedBytes"] > 0
    assert sizes["databaseBytes"] > 0
    before = shutil.disk_usage(machine.root).free
    assert abs(sizes["freeBytes"] - before) < 2**30
    assert sizes["copiedBytes"] > sizes["databaseBytes"]
