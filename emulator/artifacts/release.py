"""Downloads files of a GitHub release, and checks them against its list of checksums."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emulator.artifacts.work import BuildError, Work, download


def fetch(work: Work, base: str, pin: Mapping[str, Any]) -> Path:
    """Download the file that the catalog's `pin` names, and its checksums, from below `base`.

    Returns the folder with both under their own names.

    Raises:
        OfficialUnavailableError: the server does not answer, or the connection broke.
        BuildError: the file is not the published one, or none of that name was published.
    """
    folder = work.folder / "release"
    folder.mkdir(exist_ok=True)
    url = f"{base}/v{pin['version']}"
    checksums = download(f"{url}/{pin['checksums']}", folder / pin["checksums"], work.say)
    digest = _published_digest(checksums, pin["file"])
    download(f"{url}/{pin['file']}", folder / pin["file"], work.say, digest=digest)
    return folder


def _published_digest(checksums: Path, name: str) -> str:
    """The SHA-256 of a file in a release's list."""
    for line in checksums.read_text().splitlines():
        digest, _, listed = line.partition("  ")
        if listed.strip().removeprefix("./") == name:
            return digest
    raise BuildError(f"{checksums} does not name {name}; is the version in the catalog right?")
