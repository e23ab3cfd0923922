"""restic's repository: opened with the declared key, filled, thinned out, read.

restic 0.14 and later. Debian builds it without Azure's storage, so rclone passes that on. The key
and the secrets of a server reach them by files and by their environment, which only root can read,
never by a command line.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import urlsplit

import proxy
from durable import write
from webui.progress import Rate

from backup.errors import BackupError, NoRepositoryError, NoRightError, WrongKeyError
from backup.places import DataPlaces, say

TAG = "ollamazure"
# The tag of backups with a time in the future, which a wrong clock made.
MISDATED = "ollamazure-misdated"
LEEWAY = timedelta(minutes=10)
# An on-demand backup stays for two days, however many follow it.
KEEP_ALL_WITHIN = "48h"
SSH = "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20"
SSH_KEY, SSH_HOSTS = "etc/ollamazure/backup-ssh-key", "etc/ollamazure/backup-known-hosts"
OPEN_SECONDS = 120  # restic itself tries a server for a quarter of an hour
PROGRESS_SECONDS = 15
# Of a server that takes nothing; what restic uploads may be large.
STANDS_STILL_SECONDS = 1800
# A new role assignment has its effect within ten minutes:
# https://learn.microsoft.com/azure/role-based-access-control/troubleshooting
RIGHT_SECONDS = 600
RIGHT_PAUSE_SECONDS = 15
# restic takes a path for a pattern, and the file of an upload may have any name.
IN_PATTERN, ESCAPED = re.compile(r"[*?\[\\]"), r"\\\g<0>"


@dataclass(frozen=True)
class Snapshot:
    """A backup in the repository."""

    id: str
    time: datetime

    @property
    def is_misdated(self) -> bool:
        """Whether it has a time in the future."""
        return self.time > datetime.now(UTC) + LEEWAY


class ResticRepository:
    """The repository of /etc/ollamazure/backup.json."""

    def __init__(self, places: DataPlaces) -> None:
        self.places = places
        self.settings = json.loads(places.settings.read_text())

    @property
    def on_data_disk(self) -> bool:
        return str(self.settings["repository"]).startswith("/")

    @property
    def remote(self) -> str | None:
        """What rclone passes on, REMOTE:CONTAINER; None for another kind of repository."""
        name = str(self.settings["repository"])
        return name.removeprefix("rclone:") if name.startswith("rclone:") else None

    @property
    def place(self) -> str:
        """Where the repository is, for people."""
        if self.remote is None:
            return str(self.settings["repository"])
        account = self.settings["environment"]["RCLONE_CONFIG_AZURE_ACCOUNT"]
        return f"the container {self.remote.partition(':')[2]} of the storage account {account}"

    def open(self) -> None:
        """Makes sure that the repository exists and that the declared key opens it.

        A key that has opened it before may add the declared one in its own place: after a rotation,
        or on a data disk that another stack left.

        Raises:
            BackupError: the repository cannot be reached, or has another key.
        """
        if self.remote:
            self.wait_for_right(self.remote)
        try:
            self.try_key(self.places.key)
        except NoRepositoryError:
            say("Creating the repository.")
            self.run("init")
        except WrongKeyError:
            if not self.places.key_in_use.exists():
                raise
            self.replace_key(self.places.key_in_use)
        self.remember_key()
        self.unlock()

    def unlock(self) -> None:
        """Removes the locks of a backup that was cut off.

        No other machine uses the data disk, and `exclusive` lets one command at a time run. In
        another place only locks whose process no longer runs here: restic sends it a signal, and
        after a restart of the machine another process may have its number.
        """
        self.run("unlock", *(["--remove-all"] if self.on_data_disk else []))

    def wait_for_right(self, remote: str) -> None:
        """Lists the container, again for some minutes while a new role has no effect.

        rclone shows restic each refusal of Azure as a file that does not exist.
        """
        began = time.monotonic()
        while True:
            try:
                self.execute(["rclone", "lsf", "--retries=1", remote], timeout=OPEN_SECONDS)
            except NoRightError:
                if time.monotonic() - began > RIGHT_SECONDS:
                    raise
            else:
                return
            say("Azure has not yet given this machine its right to the storage.")
            time.sleep(RIGHT_PAUSE_SECONDS)

    def try_key(self, key: Path) -> None:
        self.run("cat", "config", key=key, timeout=OPEN_SECONDS)

    def replace_key(self, former: Path) -> None:
        """Adds the declared key, then removes the former one."""
        [own] = [each["id"] for each in self.keys(former) if each["current"]]
        self.run("key", "add", f"--new-password-file={self.places.key}", key=former)
        self.run("key", "remove", own)
        say("The repository has the declared key now.")

    def keys(self, key: Path) -> list[dict[str, Any]]:
        return list(json.loads(self.run("key", "list", "--json", key=key)))

    def add_declared_key(self, other: str) -> None:
        """Lets the declared key open the repository of another stack, whose key is `other`.

        Raises:
            WrongKeyError: `other` does not open it.
        """
        given = self.places.home / "other-key"
        write(given, other)
        try:
            self.try_key(given)
            self.run("key", "add", f"--new-password-file={self.places.key}", key=given)
        finally:
            given.unlink()

    def remember_key(self) -> None:
        key = self.places.key.read_text()
        if not self.places.key_in_use.exists() or self.places.key_in_use.read_text() != key:
            write(self.places.key_in_use, key)

    def snapshots(self) -> list[Snapshot]:
        """All backups, the oldest first."""
        return self.tagged(TAG, MISDATED)

    def tagged(self, *tags: str) -> list[Snapshot]:
        listed = json.loads(self.run("snapshots", "--json", *(f"--tag={tag}" for tag in tags)))
        found = [Snapshot(each["short_id"], time_of(each["time"])) for each in listed]
        return sorted(found, key=lambda each: each.time)

    def save(self, folder: Path) -> dict[str, Any]:
        """Saves the folder; returns restic's summary.

        Raises:
            BackupError: it fails, or has stood still for long.
        """
        # Links have another time of change than the files that restic has read before.
        command = ["backup", "--json", "--ignore-ctime", "--ignore-inode", f"--tag={TAG}", "."]
        with (
            TemporaryFile("w+") as errors,
            subprocess.Popen(
                ["restic", *self.options(), *command],
                env=self.environment(self.places.key),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as restic,
        ):
            summary = self.follow(restic)
            if restic.wait():
                errors.seek(0)
                raise error_of(errors.read(), self.place)
        return summary

    def follow(self, restic: subprocess.Popen[str]) -> dict[str, Any]:
        """Prints the progress of a backup; returns the summary at its end."""
        summary: dict[str, Any] = {}
        rate, done, moved = Rate(), 0, time.monotonic()
        for line in restic.stdout or ():
            message = json.loads(line)
            if message["message_type"] == "summary":
                summary = message
            if message["message_type"] != "status":
                continue
            former, done = done, message.get("bytes_done", 0)
            say(f"  Saving: {rate.line(done, message.get('total_bytes', 0))}")
            if done != former:
                moved = time.monotonic()
            elif time.monotonic() - moved > STANDS_STILL_SECONDS:
                restic.kill()
                raise BackupError(
                    f"{self.place} has taken nothing for {STANDS_STILL_SECONDS // 60} minutes."
                )
        return summary

    def thin_out(self) -> None:
        """Removes backups that the settings do not keep, and the data that only they had."""
        self.set_misdated_aside()
        keep = [f"--keep-{span}={count}" for span, count in self.settings["keep"].items()]
        keep = [*keep, f"--keep-within={KEEP_ALL_WITHIN}"]
        self.run("forget", f"--tag={TAG}", "--group-by=", *keep, "--prune", "--quiet")

    def set_misdated_aside(self) -> None:
        """Tags the backups of the future, so that none of them is kept in the place of a real one.

        When their time has come, they are thinned out like the others.
        """
        for tag, other, in_future in ((TAG, MISDATED, True), (MISDATED, TAG, False)):
            ids = [one.id for one in self.tagged(tag) if one.is_misdated == in_future]
            if ids:
                self.run("tag", f"--remove={tag}", f"--add={other}", *ids)

    def check(self, percent: int) -> None:
        """Reads the structure and a part of the data."""
        self.run("check", f"--read-data-subset={percent}%")

    def size(self, snapshot: str) -> int:
        """Bytes that the snapshot has when it is restored."""
        text = self.run("stats", "--json", "--mode=restore-size", snapshot)
        return int(json.loads(text)["total_size"])

    def restore(self, snapshot: str, target: Path, paths: Sequence[str] = ()) -> None:
        """Writes the snapshot, or only these paths of it, below `target`, and reads it again."""
        include = [f"--include={IN_PATTERN.sub(ESCAPED, path)}" for path in paths]
        self.run("restore", snapshot, f"--target={target}", "--verify", *include)

    def run(
        self,
        *arguments: str,
        key: Path | None = None,
        folder: Path | None = None,
        timeout: float | None = None,
    ) -> str:
        """restic's standard output; the errors of `execute`."""
        return self.execute(["restic", *self.options(), *arguments], key, folder, timeout)

    def execute(
        self,
        command: Sequence[str],
        key: Path | None = None,
        folder: Path | None = None,
        timeout: float | None = None,
    ) -> str:
        """The standard output of a program that uses the repository.

        Raises:
            BackupError: it fails; the message has its own last lines.
        """
        try:
            done = subprocess.run(
                command,
                env=self.environment(key or self.places.key),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            reasons = (error.stderr or b"").splitlines()[-1:]
            last = "".join(f" {command[0]}: {line.decode(errors='replace')}" for line in reasons)
            raise BackupError(
                f"{self.place} does not answer within {timeout:.0f} seconds.{last}"
            ) from None
        if done.returncode:
            raise error_of(done.stderr, self.place, command[0])
        return done.stdout

    def options(self) -> list[str]:
        repository = str(self.settings["repository"])
        if not repository.startswith("sftp:"):
            return []
        address, root = urlsplit(repository), self.places.root
        command = f"{SSH} -i {root / SSH_KEY} -o UserKnownHostsFile={root / SSH_HOSTS}"
        command += f" -p {address.port or 22} {address.username}@{address.hostname} -s sftp"
        return ["-o", f"sftp.command={command}"]

    def environment(self, key: Path) -> dict[str, str]:
        secrets = self.places.secrets
        lines = secrets.read_text().splitlines() if secrets.exists() else []
        return {
            "PATH": os.environ["PATH"],
            "RESTIC_REPOSITORY": str(self.settings["repository"]),
            "RESTIC_PASSWORD_FILE": str(key),
            "RESTIC_CACHE_DIR": str(self.places.home / "cache"),
            "RESTIC_PROGRESS_FPS": f"{1 / PROGRESS_SECONDS:.3f}",
            "RCLONE_CONFIG": os.devnull,  # all of it is in the environment
            **proxy.environment(),
            **self.settings["environment"],
            **dict(line.split("=", 1) for line in lines),
        }


def error_of(stderr: str, repository: str, program: str = "restic") -> BackupError:
    """The error that messages describe; restic 0.14 has no exit codes of its own for them."""
    if "Is there a repository at the following location?" in stderr:
        return NoRepositoryError(f"{repository} has no repository.")
    if "wrong password or no key found" in stderr:
        return WrongKeyError(
            f"the repository {repository} was made with another key than this stack's. If you have"
            " that key: bin/ollamazure restore --other-key."
        )
    if "AuthorizationPermissionMismatch" in stderr:
        return NoRightError(
            f"Azure does not let this machine's identity use {repository}: its role assignment is"
            " missing, which `pulumi up --refresh` creates again, or some minutes old."
        )
    lines = [line for line in stderr.splitlines() if line.strip()]
    return BackupError(f"{program}: {' '.join(lines[-5:]) or 'no reason given'}")


def time_of(text: str) -> datetime:
    """The time of a snapshot. restic prints nanoseconds, which Python does not read."""
    seconds, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789")
    return datetime.fromisoformat(seconds + zone.replace("Z", "+00:00")).astimezone(UTC)
