"""A restore: verified in a folder of its own first, then exchanged with the present data."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drift import declared_image
from durable import write
from webui.client import SESSION_FILE
from webui.errors import WebuiError
from webui.progress import progress, size_of
from webui.readiness import wait_until_ready
from webui.service import close_chat, open_chat

from backup import state
from backup.check import require_integrity
from backup.errors import BackupError, WrongKeyError
from backup.places import DataPlaces, say
from backup.repository import ResticRepository, Snapshot
from backup.stage import (
    DATABASE,
    LEAST_FREE,
    MANIFEST,
    VECTOR_DATABASE,
    VECTORS,
    counts,
    in_mib,
    refuse_during_upgrade,
    sha256_of,
    webui_version,
)
from backup.swap import swap

SERVICE = "open-webui.service"
WEBUI_CLI = "/usr/local/lib/ollamazure/webui-cli"
FORMER = "former-"
FORMER_DAYS = 7


def restore(
    places: DataPlaces, repository: ResticRepository, at: str | None, other_key: str
) -> None:
    """Brings the chat back to the newest backup, or to the newest one that is not after `at`.

    Raises:
        BackupError: nothing has changed, or the former data is back.
    """
    open_repository(repository, other_key)
    snapshot = choose(repository.snapshots(), at)
    scratch = fetch(places, repository, snapshot)
    verify(places, scratch)
    former = places.home / former_name(datetime.now(UTC))
    exchange(places, scratch, former)
    keep_certificates(places, scratch)
    remove_undeclared(scratch)
    shutil.rmtree(scratch)
    state.change(places, problem="")  # that of a key that did not fit
    say(f"The chat is as it was at {snapshot.time:%Y-%m-%d %H:%M} UTC.")
    say(f"The former data stays in {former} for {FORMER_DAYS} days.")


def open_repository(repository: ResticRepository, other_key: str) -> None:
    """Opens it. If another stack made it, `other_key` is the key of that stack."""
    try:
        repository.open()
    except WrongKeyError:
        if not other_key:
            raise
        repository.add_declared_key(other_key)
        repository.open()


def choose(snapshots: list[Snapshot], at: str | None) -> Snapshot:
    """The newest backup that is not after `at`, a time in UTC; a date means its end.

    Without `at`, it is none of the future, which a wrong clock made, unless there is no other.
    """
    if not snapshots:
        raise BackupError("the repository has no backup.")
    if not at:
        return ([each for each in snapshots if not each.is_misdated] or snapshots)[-1]
    latest = end_of(at)
    found = [each for each in snapshots if each.time < latest]
    if not found:
        first = f"{snapshots[0].time:%Y-%m-%d %H:%M}"
        raise BackupError(f"the first backup is of {first} UTC, after {at}.")
    return found[-1]


def end_of(text: str) -> datetime:
    """The end of the day, minute or second that a text names."""
    for form, span in (
        ("%Y-%m-%d", timedelta(days=1)),
        ("%Y-%m-%d %H:%M", timedelta(minutes=1)),
        ("%Y-%m-%d %H:%M:%S", timedelta(seconds=1)),
    ):
        try:
            start = datetime.strptime(text.replace("T", " "), form)
        except ValueError:
            continue
        return start.replace(tzinfo=UTC) + span
    raise BackupError(f'"{text}" is not a time such as "2027-01-31 09:00" or 2027-01-31.')


def fetch(places: DataPlaces, repository: ResticRepository, snapshot: Snapshot) -> Path:
    """The snapshot in a folder of its own, which the repository has compared with its checksums."""
    scratch = places.home / "restored"
    shutil.rmtree(scratch, ignore_errors=True)
    size, usage = repository.size(snapshot.id), shutil.disk_usage(places.disk)
    needed = size + int(LEAST_FREE * usage.total)
    if usage.free < needed:
        raise BackupError(
            f"the data disk has {in_mib(usage.free)} free, and this backup needs"
            f" {in_mib(needed)}. ollamazure:dataDiskGiB enlarges it."
        )
    say(f"Restoring the backup of {snapshot.time:%Y-%m-%d %H:%M} UTC ({in_mib(size)}).")
    scratch.mkdir(mode=0o700)
    with progress("Restoring", size, lambda: size_of(scratch), say):
        repository.restore(snapshot.id, scratch)
    return scratch


def verify(places: DataPlaces, scratch: Path) -> None:
    """Refuses a backup that is damaged, or of a later version of Open WebUI than this machine's."""
    manifest = read_manifest(scratch)
    if sha256_of(scratch / DATABASE) != manifest["database"]:
        raise BackupError("the database is not the one that was saved.")
    for name in (DATABASE, f"{VECTORS}/{VECTOR_DATABASE}"):
        require_integrity(scratch / name)
    of, here = manifest["webui"], webui_version(places)
    if of and here and parts_of(of) > parts_of(here):
        raise BackupError(
            f"the backup is of Open WebUI {of}, and this machine has {here}, which cannot read it."
            f" Set ollamazure:webuiVersion to v{of} or later and run `pulumi up`, then restore."
        )
    found = ", ".join(f"{number} {name}" for name, number in counts(scratch / DATABASE).items())
    say(f"The backup is complete: {found}.")


def read_manifest(scratch: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((scratch / MANIFEST).read_text()))
    except (OSError, ValueError) as error:
        raise BackupError(f"this is no backup of a chat: {error}") from error


def parts_of(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def exchange(places: DataPlaces, scratch: Path, former: Path) -> None:
    """Runs Open WebUI with the restored data; if it does not start, again with the former."""
    refuse_during_upgrade(places)
    close_chat("The chat is being restored from a backup.")
    try:
        run(["systemctl", "stop", SERVICE])
        swap(places, scratch, former)
        try:
            start()
        except BackupError as error:
            say(f"{error} The former data comes back.")
            run(["systemctl", "stop", SERVICE])
            swap(places, former, scratch / "failed")
            start()
            raise BackupError(
                "the restored data does not work, so the chat has its former data again:"
                f" `journalctl --unit {SERVICE}` has details."
            ) from error
        write(places.image, f"{declared_image(places.unit)}\n")  # which may be a later one
    finally:
        open_chat()


def start() -> None:
    """Starts Open WebUI and waits until it is ready, however long it works on an old database.

    Raises:
        BackupError: it ends or hangs.
    """
    # The session of the machine's tools belongs to another database now.
    SESSION_FILE.unlink(missing_ok=True)
    run(["systemctl", "start", SERVICE])
    say("Open WebUI is starting.")
    try:
        wait_until_ready()
    except WebuiError as error:
        raise BackupError(f"Open WebUI does not work: {error}") from error
    say("Open WebUI is ready.")


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupError(f"{' '.join(command)}: {done.stderr.strip()}")


def keep_certificates(places: DataPlaces, scratch: Path) -> None:
    """Brings issued certificates to a machine that has none; it never replaces a newer one."""
    saved = scratch / places.acme.name
    if saved.exists() and not list(places.acme.glob("*/live/*")):
        shutil.rmtree(places.acme, ignore_errors=True)
        saved.rename(places.acme)


def remove_undeclared(scratch: Path) -> None:
    """Removes what the settings declared at the backup and no longer do, above all users."""
    declared = scratch / "declared"
    if declared.exists():
        subprocess.run([WEBUI_CLI, "remove-undeclared", str(declared)], check=False)


def undo(places: DataPlaces) -> None:
    """Brings back the data that the last restore replaced."""
    formers = former_folders(places)
    if not formers:
        raise BackupError(f"no restore in the last {FORMER_DAYS} days has left its former data.")
    exchange(places, formers[-1], places.home / former_name(datetime.now(UTC)))
    shutil.rmtree(formers[-1])
    say("The chat has the data from before the restore again.")


def former_name(moment: datetime) -> str:
    """A folder's name; a later moment has a later name."""
    return f"{FORMER}{moment:%Y%m%dT%H%M%S.%f}Z"


def former_folders(places: DataPlaces) -> list[Path]:
    return sorted(places.home.glob(f"{FORMER}*"))


def remove_old_formers(places: DataPlaces) -> None:
    """Deletes former data when it has been kept long enough."""
    limit = former_name(datetime.now(UTC) - timedelta(days=FORMER_DAYS))
    for folder in former_folders(places):
        if folder.name < limit:
            shutil.rmtree(folder)
