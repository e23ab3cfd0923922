"""What the documentation names exists: files, tests, make targets, settings, outputs, links.

`python -m tests.unit.test_docs` writes the table of docs/reference/emulator-rules.md anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamazure.settings.stack import Settings
from tests.unit.emulator.azure.test_rules import RULES

PROJECT = Path(__file__).resolve().parents[2]
# Folders of the repository: what begins like one in a page must be there.
TOP = {entry.name for entry in PROJECT.iterdir() if entry.is_dir() and entry.name[0] != "."}
PAGES = [
    *sorted(PROJECT.glob("*.md")),
    *(page for folder in sorted(TOP) for page in sorted((PROJECT / folder).rglob("*.md"))),
]
RULES_PAGE = PROJECT / "docs" / "reference" / "emulator-rules.md"
# Made by a command, not checked in.
MADE = {".venv/bin/python", ".emulator/"}


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def code(page: Path) -> Iterator[str]:
    """The code of a page: each inline span, each line of a code block."""
    text = page.read_text(encoding="utf-8")
    blocks = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    for block in blocks.findall(text):
        yield from block.splitlines()[1:-1]
    rest = blocks.sub("", text)
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", rest)


def test_files_and_tests_exist(page: Path) -> None:
    for span in code(page):
        for word in span.split():
            name, _, test = word.partition("::")
            if name.split("/")[0] not in TOP or "/" not in name or word in MADE:
                continue
            found = sorted(PROJECT.glob(name.rstrip("/,:")))
            assert found, f"{page.name} names {name}, which does not exist"
            if test:
                defined = bool(re.search(rf"^\s*(async )?def {test}\b", found[0].read_text(), re.M))
                assert defined, f"{page.name} names {word}, and {name} has no such test"


def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_targets_exist(page: Path) -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for span in code(page):
        match = re.match(r"make ([a-z][a-z-]*)", span)
        if match:
            found = bool(re.search(rf"^{match[1]}:", makefile, re.M))
            assert found, f"{page.name} names `make {match[1]}`, which the Makefile does not have"


def test_settings_exist(page: Path) -> None:
    keys = {field.alias for field in Settings.model_fields.values()}
    for span in code(page):
        for key in re.findall(r"ollamazure:([a-zA-Z]+)", span):
            if not re.fullmatch("[A-Z].*|index", key):  # a component's type
                assert key in keys, f"{page.name} names the setting {key}"


def test_outputs_exist(page: Path) -> None:
    program = (PROJECT / "components" / "outputs.py").read_text()
    for span in code(page):
        for name in re.findall(r"stack output ([a-zA-Z]+)", span):
            exported = f'"{name}"' in program
            assert exported, f"{page.name} names the output {name}"


def rules_table() -> str:
    """Every rule of the emulated Azure that a test holds, as the rows of a table."""
    return "".join(
        f"| {name} | `{code}` | {' '.join(words.split()).replace('|', chr(92) + '|')} |\n"
        for name, _, code, words in RULES
    )


def test_the_table_of_rules_is_the_tested_one() -> None:
    up_to_date = RULES_PAGE.read_text(encoding="utf-8").endswith(rules_table())
    assert up_to_date, "write it anew: python -m tests.unit.test_docs"


if __name__ == "__main__":
    head, ruler, _ = RULES_PAGE.read_text(encoding="utf-8").partition("|---|---|---|\n")
    RULES_PAGE.write_text(head + ruler + rules_table(), encoding="utf-8")
