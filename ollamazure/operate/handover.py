"""Where messages with passwords go: to a terminal, or to one file for each person."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ollamazure.operate.pulumi import OperateError

FOR_THE_OWNER = 0o600


def check_place(folder: Path | None, emails: Iterable[str], kind: str = "txt") -> None:
    """Prepare for the messages of these people, before their passwords are made or counted as sent.

    Args:
        folder: for the files; it is created if it is missing. None: the terminal.
        emails: of the people.
        kind: how the names of the files end.

    Raises:
        OperateError: a file exists, the folder cannot be created, or there is no terminal.
    """
    if folder is None:
        if not sys.stdout.isatty():
            raise OperateError(
                "the messages have passwords, and standard output is not a terminal: it may be a "
                "log. Add --to FOLDER: each message becomes a file there that only you can read."
            )
        return
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            _give_to_user(folder)
    except OSError as error:
        raise OperateError(f"{folder} cannot be created: {error.strerror}.") from error
    files = [str(file_of(folder, email, kind)) for email in emails]
    if exist := [file for file in files if os.path.lexists(file)]:
        raise OperateError(
            f"these files exist: {', '.join(exist)}. Delete them, or use another folder."
        )


def hand_over(messages: Mapping[str, str], folder: Path | None) -> None:
    """Print the messages, or write each to a file of its own, whose names are printed.

    Args:
        messages: by e-mail.
        folder: which `check_place` has checked; None: the terminal.

    Raises:
        OperateError: a file cannot be written; those before it are complete.
    """
    if folder is None:
        print(f"\n{'-' * 72}\n\n".join(messages.values()), end="")
        return
    for email, message in messages.items():
        file = file_of(folder, email)
        with create_file(file) as opened:
            opened.write(message.encode())
        print(file)


def file_of(folder: Path, email: str, kind: str = "txt") -> Path:
    """The file of a person's message; no e-mail has a `/`."""
    return folder / f"{email}.{kind}"


@contextmanager
def create_file(file: Path) -> Iterator[IO[bytes]]:
    """A new file that only the user can read; it is deleted again after an error.

    Raises:
        OperateError: it exists, or cannot be written.
    """
    try:
        # It must not exist: a link would lead to a file that others can read.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FOR_THE_OWNER)
    except OSError as error:
        raise OperateError(f"{file} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
        _give_to_user(file)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OperateError(f"{file} cannot be written: {error.strerror}.") from error
        raise


def _give_to_user(path: Path) -> None:
    """Give what root has created to the user who started this command through sudo."""
    user = os.environ.get("SUDO_UID")
    if os.geteuid() == 0 and user and path.stat().st_uid == 0:
        os.chown(path, int(user), int(os.environ.get("SUDO_GID", "-1")))
