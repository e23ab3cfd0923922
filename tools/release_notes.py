"""What CHANGELOG.md says of a version: the text of its release.

Needs nothing but Python, so that a workflow can run it with what the runner has.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"


class NotesError(Exception):
    """A release cannot be made of this tag; the message says what to do."""


def notes(tag: str, changelog: str) -> str:
    """The section of a changelog that belongs to the tag `v<version>`.

    Raises:
        NotesError: the tag is not one of a version, or its section is missing or empty.
    """
    version = re.fullmatch(r"v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)", tag)
    if not version:
        raise NotesError(
            f"{tag} is not the tag of a version; those are like v1.2.3 or v1.2.3-rc.1."
        )
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    for section in sections:
        heading, _, text = section.partition("\n")
        if heading.startswith(f"[{version[1]}] - "):
            if text.strip():
                return text.strip()
            raise NotesError(f"CHANGELOG.md says nothing under [{version[1]}].")
    raise NotesError(
        f"CHANGELOG.md has no section `## [{version[1]}] - <date>`. Move what is under "
        "[Unreleased] there, commit it, and tag that commit."
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
