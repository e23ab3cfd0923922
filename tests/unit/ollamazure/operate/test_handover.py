"""Messages with passwords on a terminal or in files, and never in a log."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ollamazure.operate.handover import check_place, hand_over
from ollamazure.operate.pulumi import OperateError

MESSAGES = {"alice@example.com": "for Alice\n", "bob@example.com": "for Bob\n"}


def test_each_file_is_for_its_owner_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "invitations"
    former = os.umask(0)
    try:
        check_place(folder, MESSAGES)
        hand_over(MESSAGES, folder)
    finally:
        os.umask(former)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for email, text in MESSAGES.items():
        file = folder / f"{email}.txt"
        assert file.read_text() == text
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(folder / f"{email}.txt") for email in MESSAGES]


@pytest.mark.parametrize("link", [False, True], ids=["file", "dangling link"])
def test_no_file_is_overwritten_or_followed(tmp_path: Path, link: bool) -> None:
    file = tmp_path / "bob@example.com.txt"
    if link:
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.write_text("kept")
    with pytest.raises(OperateError, match=r"these files exist: .*bob@example\.com\.txt"):
        check_place(tmp_path, MESSAGES)
    with pytest.raises(OperateError, match="cannot be written"):
        hand_over({"bob@example.com": "secret"}, tmp_path)
    assert link or file.read_text() == "kept"
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_created_is_reported_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "missing" / "folder"):
        with pytest.raises(OperateError, match="cannot be created"):
            check_place(folder, MESSAGES)


def test_what_is_not_a_terminal_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OperateError, match="Add --to FOLDER"):
        check_place(None, MESSAGES)
    assert capsys.readouterr().out == ""


def test_on_a_terminal_the_messages_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    check_place(None, MESSAGES)
    hand_over(MESSAGES, None)
    printed = capsys.readouterr().out
    assert printed.startswith("for Alice\n") and printed.endswith("for Bob\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root creates files for others")
def test_through_sudo_the_files_belong_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "1234")
    monkeypatch.setenv("SUDO_GID", "1235")
    folder = tmp_path / "invitations"
    check_place(folder, MESSAGES)
    hand_over(MESSAGES, folder)
    created = [folder, *folder.iterdir()]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in created} == {(1234, 1235)}
    check_place(tmp_path, MESSAGES)
    assert tmp_path.stat().st_uid == 0, "a folder that exists stays as it is"
