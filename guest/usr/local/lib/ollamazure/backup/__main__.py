"""Saves and restores the chat of this machine.

backup-cli up         `pulumi up`: opens the repository, or creates it, and reports
backup-cli nightly    the timer: a backup, and once a week a check
backup-cli run        a backup
backup-cli check      a backup and a check of it
backup-cli list       prints the backups, as JSON
backup-cli restore    {"at": TIME or null, "other_key": KEY or ""} on standard input
backup-cli undo       brings back the data that the last restore replaced
backup-cli resume     ends a restore that a power cut interrupted, before Open WebUI starts
backup-cli off        stops the timer and forgets the settings; the backups stay
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import disks

from backup import state
from backup.check import check
from backup.errors import BackupError
from backup.places import DataPlaces, say
from backup.repository import ResticRepository
from backup.restore import remove_old_formers, restore, undo
from backup.stage import in_mib, stage
from backup.swap import resume

CHECK_AFTER = 6.5 * 24 * 3600  # seconds: the timer's delay differs from night to night
STOP = ["systemctl", "disable", "--quiet", "--now", "ollamazure-backup.timer"]


def main(arguments: list[str], places: DataPlaces | None = None) -> int:
    places = places or DataPlaces()
    try:
        run(places, arguments)
    except (BackupError, OSError) as error:
        say(f"Backup: {error}")
        for full in disks.full_disks():
            say(full)
        return 1
    return 0


def run(places: DataPlaces, arguments: list[str]) -> None:
    match arguments:
        case ["resume"]:
            resume(places)
            return
        case ["off"]:
            turn_off(places)
            return
    places.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not places.settings.exists():
        raise BackupError("the settings have no backups: backup.target is off.")
    repository = ResticRepository(places)
    match arguments:
        case ["list"]:
            with exclusive(places):
                repository.open()
                print(json.dumps([each.time.timestamp() for each in repository.snapshots()]))
        case ["up"]:
            with exclusive(places):
                prepare(places, repository)
        case ["run"]:
            with exclusive(places):
                save(places, repository, and_check=False)
        case ["check"]:
            with exclusive(places):
                save(places, repository, and_check=True)
        case ["nightly"]:
            with exclusive(places):
                save(places, repository, and_check=is_check_due(places))
        case ["restore"]:
            request = json.load(sys.stdin)
            with exclusive(places):
                restore(places, repository, request["at"], request["other_key"])
        case ["undo"]:
            with exclusive(places):
                undo(places)
        case _:
            raise BackupError(f"unknown command.\n{__doc__}")


def is_check_due(places: DataPlaces) -> bool:
    """Also after a check that a wrong clock dated in the future."""
    return not 0 <= time.time() - state.BackupState.read(places).checked <= CHECK_AFTER


@contextmanager
def exclusive(places: DataPlaces) -> Iterator[None]:
    """Lets one of these commands run at a time."""
    with (places.home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for the backup or restore that is running.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare(places: DataPlaces, repository: ResticRepository) -> None:
    """Opens the repository. A failure is recorded and does not stop the deployment.

    A server may have to accept the stack's key first, and the repository of a lost stack has a key
    that only `restore` gets.
    """
    try:
        repository.open()
    except BackupError as error:
        say(f"No backup is possible yet: {error}")
        state.change(places, problem=str(error))
        return
    # What failed at night stays reported until a backup succeeds.
    state.change(places)
    say(f"Backups go to {repository.place}.")


def save(places: DataPlaces, repository: ResticRepository, *, and_check: bool) -> None:
    """Makes a backup, thins out the former ones and records what happened."""
    began = time.time()
    try:
        snapshot = make_snapshot(places, repository, began)
        repository.thin_out()
    except (BackupError, OSError) as error:
        with suppress(OSError):  # the disk may be full
            state.change(places, problem=str(error))
        raise BackupError(str(error)) from error
    try:
        if and_check:
            check_recorded(places, repository, snapshot)
    finally:
        shutil.rmtree(places.staging, ignore_errors=True)
        remove_old_formers(places)


def make_snapshot(places: DataPlaces, repository: ResticRepository, began: float) -> str:
    repository.open()
    first = repository.on_data_disk and not repository.snapshots()
    stage(places, first=first)
    say("Saving.")
    summary = repository.save(places.staging)
    size, new = summary["total_bytes_processed"], summary["data_added"]
    say(f"Saved {in_mib(size)}, of which {in_mib(new)} are new.")
    seconds = time.time() - began
    state.change(places, saved=began, seconds=seconds, size=size, problem="")
    return str(summary["snapshot_id"])


def check_recorded(places: DataPlaces, repository: ResticRepository, snapshot: str) -> None:
    try:
        check(places, repository, snapshot)
    except BackupError as error:
        state.change(places, check_problem=str(error))
        raise
    state.change(places, checked=time.time(), check_problem="")
    say("The check found no error.")


def turn_off(places: DataPlaces) -> None:
    subprocess.run(STOP, check=False)
    for path in (places.settings, places.key, places.secrets):
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
