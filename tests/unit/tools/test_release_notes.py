"""The text of a release is the section of CHANGELOG.md about its version."""

from __future__ import annotations

import pytest

from tools import release_notes

CHANGELOG = """\
# Changelog

## [Unreleased]

### Added

- Something new.

## [1.2.0] - 2026-11-24

### Fixed

- The right thing.

## [1.1.0] - 2026-10-01

## [1.0.0-rc.1] - 2026-09-01

- A first look.
"""


def test_the_section_of_the_tag() -> None:
    assert release_notes.notes("v1.2.0", CHANGELOG) == "### Fixed\n\n- The right thing."
    assert release_notes.notes("v1.0.0-rc.1", CHANGELOG) == "- A first look."


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("v1.3.0", "no section `## [1.3.0] - <date>`"),
        ("v1.1.0", "The section [1.1.0] of CHANGELOG.md is empty"),
        ("latest", "names no version"),
        ("vUnreleased", "names no version"),
    ],
)
def test_no_release_without_notes(tag: str, why: str) -> None:
    with pytest.raises(release_notes.NotesError) as refused:
        release_notes.notes(tag, CHANGELOG)
    assert why in str(refused.value)


def test_the_command_reads_the_repositorys_changelog(capsys: pytest.CaptureFixture[str]) -> None:
    assert release_notes.main(["v0.0.0"]) == 1
    assert "no section" in capsys.readouterr().err
