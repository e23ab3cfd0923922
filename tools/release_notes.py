"""Prints the section of CHANGELOG.md about a version: the text of its release.

Needs only Python, so that it runs without the project's packages.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"


class NotesError(Exception):
    """This tag cannot become a release; the message gives the fix."""


def notes(tag: str, changelog: str) -> str:
    """The section of a changelog about the tag `v<version>`.

    Raises:
        NotesError: the tag names no version, or the section is missing or empty.
    """
    version = re.fullmatch(r"v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)", tag)
    if not version:
        raise NotesError(
            f"{tag} names no version. Tags of versions look like v1.2.3 or v1.2.3-rc.1."
        )
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        heading, _, text = section.partition("\n")
        if heading.startswith(f"[{version[1]}] - "):
            if text.strip():
                return text.strip()
            raise NotesError(f"The section [{version[1]}] of CHANGELOG.md is empty.")
    raise NotesError(
        f"CHANGELOG.md has no section `## [{version[1]}] - <date>`. Move the lines under "
        "[Unreleased] there, commit that, and tag the commit."
    )


def main(arguments: list[str]) -> int:
    try:
        print(notes(arguments[0], CHANGELOG.read_text(encoding="utf-8")))
    except NotesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
