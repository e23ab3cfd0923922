"""What goes wrong with backups."""

from __future__ import annotations


class BackupError(Exception):
    """A backup or a restore cannot be done; the message gives the reason and never a secret."""


class WrongKeyError(BackupError):
    """The repository exists and was made with another key."""


class NoRepositoryError(BackupError):
    """The repository does not exist yet."""


class NoRightError(BackupError):
    """Azure does not let the machine's identity use the storage, or not yet."""
