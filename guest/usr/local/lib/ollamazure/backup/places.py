"""Where the data of the chat and its backups are, and the lines of progress."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_START = time.monotonic()


@dataclass(frozen=True)
class DataPlaces:
    """The machine's files; tests have them below another root."""

    root: Path = Path("/")

    @property
    def disk(self) -> Path:
        return self.root / "srv/data"

    @property
    def volume(self) -> Path:
        """Open WebUI's own folder."""
        return self.disk / "containers/volumes/open-webui/_data"

    @property
    def webui(self) -> Path:
        """Its secret key, and what was declared last, which belongs to its database."""
        return self.disk / "open-webui"

    @property
    def upgrade_journal(self) -> Path:
        """It exists while an upgrade is under way (webui/upgrade.py)."""
        return self.webui / "upgrade/journal.json"

    @property
    def image(self) -> Path:
        """Names the image that the data belong to."""
        return self.webui / "image"

    @property
    def acme(self) -> Path:
        return self.disk / "acme"

    @property
    def home(self) -> Path:
        """The backups' own folder; the repository of the target dataDisk is in it."""
        return self.disk / "backup"

    @property
    def staging(self) -> Path:
        return self.home / "staging"

    @property
    def settings(self) -> Path:
        return self.root / "etc/ollamazure/backup.json"

    @property
    def key(self) -> Path:
        """The key that the stack declares."""
        return self.root / "etc/ollamazure/backup-key"

    @property
    def key_in_use(self) -> Path:
        """The key that last opened the repository, beside the data that it protects."""
        return self.home / "key"

    @property
    def secrets(self) -> Path:
        """Environment variables for restic, a line each."""
        return self.root / "etc/ollamazure/backup-secrets.env"

    @property
    def declared(self) -> Path:
        return self.root / "etc/ollamazure/declared"

    @property
    def unit(self) -> Path:
        """The Quadlet unit, which names the image."""
        return self.root / "etc/containers/systemd/open-webui.container"


def say(words: str) -> None:
    """Prints one line of progress. The operator's connection may be gone: that stops nothing."""
    seconds = int(time.monotonic() - _START)
    with contextlib.suppress(OSError):
        print(f"{seconds:4}s  {words}", file=sys.stderr, flush=True)
