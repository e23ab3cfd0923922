"""The repository, with the real restic on this disk."""

from __future__ import annotations

import signal
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import proxy
import pytest
from backup import repository as module
from backup.errors import BackupError, NoRightError, WrongKeyError
from backup.places import DataPlaces
from backup.repository import ResticRepository, error_of, time_of
from backup.restore import choose
from backup.stage import stage

from tests.engine.sshd import HOST, running_sshd
from tests.unit.guest.backup.chat import make_chat, set_up


def saved(places: DataPlaces) -> ResticRepository:
    repository = ResticRepository(places)
    repository.open()
    stage(places)
    repository.save(places.staging)
    return repository


def test_a_new_key_of_the_stack_replaces_the_one_that_opened_the_repository(tmp_path: Path) -> None:
    places = make_chat(tmp_path, key="former-key")
    repository = saved(places)
    places.key.write_text("rotated-key")
    repository.open()
    assert len(repository.snapshots()) == 1
    former = tmp_path / "former"
    former.write_text("former-key")
    with pytest.raises(WrongKeyError):
        repository.try_key(former)
    assert stat.S_IMODE(places.key_in_use.stat().st_mode) == 0o600


def test_the_proxy_is_in_the_environment_of_restic_and_rclone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = make_chat(tmp_path)
    (tmp_path / "proxy.env").write_text("# x\nhttps_proxy=http://p:1\nno_proxy=169.254.169.254\n")
    monkeypatch.setattr(proxy, "FILE", tmp_path / "proxy.env")
    environment = ResticRepository(places).environment(places.key)
    assert environment["https_proxy"] == "http://p:1"
    assert environment["no_proxy"] == "169.254.169.254"


def test_a_repository_of_another_stack_opens_with_its_key_only(tmp_path: Path) -> None:
    former = make_chat(tmp_path / "former", key="key-of-the-lost-stack")
    saved(former)
    places = make_chat(tmp_path / "new", key="key-of-the-new-stack")
    set_up(places, "key-of-the-new-stack", str(former.home / "repository"))
    repository = ResticRepository(places)
    places.home.mkdir()
    with pytest.raises(WrongKeyError, match="another key than this stack's"):
        repository.open()
    with pytest.raises(WrongKeyError):
        repository.add_declared_key("a-wrong-one")
    repository.add_declared_key("key-of-the-lost-stack")
    repository.open()
    assert len(repository.snapshots()) == 1
    assert not (places.home / "other-key").exists()


def test_the_lock_of_a_backup_that_was_cut_off_is_removed(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    repository = saved(places)
    folder = places.home / "repository/locks"
    process = subprocess.Popen(
        ["restic", "backup", "--stdin"],
        env=repository.environment(places.key),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    # restic writes the file under another name first.
    while not [lock for lock in folder.iterdir() if "tmp" not in lock.name]:
        assert process.poll() is None
    # After a power cut another process may have its number, so restic would keep the lock.
    repository.open()
    assert not list(folder.iterdir())
    process.kill()
    process.communicate()


def shell(script: str) -> subprocess.Popen[str]:
    """Stands for restic, which prints its progress as JSON."""
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)


def test_the_progress_of_a_backup_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = '{"message_type":"status","bytes_done":500000000,"total_bytes":2000000000}'
    begins, summary = '{"message_type":"status"}', '{"message_type":"summary","data_added":1}'
    repository = ResticRepository(make_chat(tmp_path))
    found = repository.follow(shell(f"printf '%s\\n' '{begins}' '{status}' '{summary}'"))
    assert found["data_added"] == 1
    assert "Saving: 500 of 2000 MB (25 %), " in capsys.readouterr().err


def test_a_backup_that_stands_still_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STANDS_STILL_SECONDS", 0)
    status = '{"message_type":"status","bytes_done":5,"total_bytes":9}'
    restic = shell(f"while :; do printf '%s\\n' '{status}'; done")
    with pytest.raises(BackupError, match="has taken nothing for 0 minutes"):
        ResticRepository(make_chat(tmp_path)).follow(restic)
    assert restic.wait() == -signal.SIGKILL


def test_equal_data_is_stored_once(tmp_path: Path) -> None:
    places = make_chat(tmp_path)
    (places.volume / "uploads/big.bin").write_bytes(bytes(range(256)) * 8192)
    repository = saved(places)
    stage(places)
    assert repository.save(places.staging)["data_added"] < 2**20


@pytest.mark.parametrize("name", ["a [1].txt", "a\x07[31mb", "*?.txt", "c:\\d", "!x", "$y, z"])
def test_a_file_is_restored_whatever_its_name_is(tmp_path: Path, name: str) -> None:
    places = make_chat(tmp_path)
    (places.volume / "uploads" / name).write_text("mine")
    repository = saved(places)
    [snapshot] = repository.snapshots()
    repository.restore(snapshot.id, tmp_path / "scratch", [f"/uploads/{name}"])
    restored = [path.name for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert restored == [name]


def test_backups_of_a_wrong_clock_are_kept_in_the_place_of_none(tmp_path: Path) -> None:
    """A clock was a year ahead for eight nights; then the backups of three nights follow."""
    places = make_chat(tmp_path)
    repository = ResticRepository(places)
    repository.open()
    stage(places)
    now = datetime.now(UTC)

    def save(moment: datetime, text: str) -> None:
        (places.staging / "night").write_text(text)
        time = f"--time={moment:%Y-%m-%d %H:%M:%S}"
        repository.run("backup", time, f"--tag={module.TAG}", ".", folder=places.staging)

    for night in range(8):
        save(now + timedelta(days=365 + night), f"ahead {night}")
    for night in (4, 3, 0):
        save(now - timedelta(days=night), f"right {night}")
    repository.thin_out()
    listed = repository.snapshots()
    assert len([one for one in listed if not one.is_misdated]) == 3
    assert len([one for one in listed if one.is_misdated]) == 8
    assert choose(listed, None).time == max(one.time for one in listed if not one.is_misdated)

    with pytest.MonkeyPatch.context() as patch:  # their time has come
        patch.setattr(module, "LEEWAY", timedelta(days=400))
        repository.thin_out()
    assert repository.tagged(module.MISDATED) == []
    assert 0 < len(repository.tagged(module.TAG)) < 11


def test_no_key_is_on_a_command_line(tmp_path: Path) -> None:
    places = make_chat(tmp_path, key="the-key")
    places.secrets.write_text("AWS_SECRET_ACCESS_KEY=the-secret\n")
    environment = ResticRepository(places).environment(places.key)
    assert environment["AWS_SECRET_ACCESS_KEY"] == "the-secret"
    assert "the-key" not in environment.values()


def test_sftp_trusts_the_declared_host_key_only(tmp_path: Path) -> None:
    places = make_chat(tmp_path / "machine")
    with running_sshd(tmp_path / "server") as server:
        place = f"sftp://{server.user}@{HOST}:{server.port}/{tmp_path}/repository"
        set_up(places, "key", place)
        key = places.root / "etc/ollamazure/backup-ssh-key"
        key.touch(mode=0o600)
        key.write_text(server.private_key)
        hosts = places.root / "etc/ollamazure/backup-known-hosts"
        own = (tmp_path / "server/client.pub").read_text()  # any key but the host's
        hosts.write_text(f"[{HOST}]:{server.port} {own}")
        places.home.mkdir()
        with pytest.raises(BackupError):
            ResticRepository(places).open()
        hosts.write_text(f"[{HOST}]:{server.port} {server.host_key}")
        assert len(saved(places).snapshots()) == 1


PROGRAM = """#!/bin/sh
# As rclone ends when Azure answers 403, twice; then the container has no repository.
echo "${{0##*/}} $1" >>{log}
case "${{0##*/}} $1 $(wc -l <{log})" in
"rclone lsf 1" | "rclone lsf 2")
    echo 'RESPONSE ERROR (ServiceCode=AuthorizationPermissionMismatch)' >&2
    exit 1 ;;
"restic cat"*)
    echo 'Is there a repository at the following location?' >&2
    exit 10 ;;
esac
"""


def test_a_new_role_assignment_gets_time_to_have_its_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = make_chat(tmp_path)
    set_up(places, "a-key", "rclone:azure:backups", {"RCLONE_CONFIG_AZURE_ACCOUNT": "backup0123"})
    places.home.mkdir()
    log = tmp_path / "log"
    for name in ("rclone", "restic"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(PROGRAM.format(log=log))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(module, "RIGHT_PAUSE_SECONDS", 0)
    ResticRepository(places).open()
    assert log.read_text().splitlines() == [
        *["rclone lsf"] * 3,
        *(f"restic {name}" for name in ("cat", "init", "unlock")),
    ]

    monkeypatch.setattr(module, "RIGHT_SECONDS", 0)
    log.unlink()
    where = "the container backups of the storage account backup0123"
    with pytest.raises(NoRightError, match=f"identity use {where}: .*pulumi up --refresh"):
        ResticRepository(places).open()


def test_a_message_of_restic_is_passed_on() -> None:
    error = error_of("Load(<data/1>) failed\nFatal: disk full\n", "/r")
    assert type(error) is BackupError
    assert str(error) == "restic: Load(<data/1>) failed Fatal: disk full"


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-31T09:00:01.874695206Z",
        "2027-01-31T10:00:01.874695206+01:00",
        "2027-01-31T10:00:01+01:00",
    ],
)
def test_times_of_restic_are_read(text: str) -> None:
    assert time_of(text) == datetime(2027, 1, 31, 9, 0, 1, tzinfo=UTC)
