"""What the documentation names exists: files, tests, commands, settings, outputs, links, pages.

`python -m tests.unit.test_docs` writes the table of docs/reference/emulator-rules.md again.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from ollamazure.cli import app
from ollamazure.settings.stack import Settings
from tests.unit.emulator.azure.test_rules import RULES

PROJECT = Path(__file__).resolve().parents[2]
# Folders of the repository: a word on a page that starts with one must be an existing path.
TOP = {entry.name for entry in PROJECT.iterdir() if entry.is_dir() and entry.name[0] != "."}
PAGES = [
    *sorted(PROJECT.glob("*.md")),
    *(page for folder in sorted(TOP) for page in sorted((PROJECT / folder).rglob("*.md"))),
    *sorted((PROJECT / ".github").rglob("*.md")),
]
INDEX = PROJECT / "docs" / "index.md"
RULES_PAGE = PROJECT / "docs" / "reference" / "emulator-rules.md"
# Created by a command, not checked in.
CREATED = {".venv/bin/python", ".emulator/"}


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def code(page: Path) -> Iterator[str]:
    """The code of a page: each inline span, each line of a code block."""
    text = page.read_text(encoding="utf-8")
    blocks = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
    for block in blocks.findall(text):
        yield from block.splitlines()[1:-1]
    rest = blocks.sub("", text)
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", rest)


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and pictures within the repository, without their anchors."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            yield target


def test_files_and_tests_exist(page: Path) -> None:
    for span in code(page):
        for word in span.split():
            name, _, test = word.partition("::")
            if name.split("/")[0] not in TOP or "/" not in name or word in CREATED:
                continue
            found = sorted(PROJECT.glob(name.rstrip("/,:")))
            assert found, f"{page.name} names {name}, which does not exist"
            if test:
                defined = bool(re.search(rf"^\s*(async )?def {test}\b", found[0].read_text(), re.M))
                assert defined, f"{page.name} names {word}, and {name} has no such test"


def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_anchors_are_headings(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text):
        if "://" not in target:
            other = page.parent / target if target else page
            assert anchor in anchors(other), f"{page.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes from the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_page_is_reachable_from_the_index() -> None:
    reached: set[Path] = set()
    waiting = [INDEX]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / target).resolve() for target in links(page)]
    missing = {page for page in PAGES if page.is_relative_to(INDEX.parent)} - reached
    assert not missing, f"no link from docs/index.md leads to {sorted(map(str, missing))}"


def test_make_targets_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # names commands that were removed, too
        return
    makefile = (PROJECT / "Makefile").read_text()
    for span in code(page):
        match = re.match(r"make (?:-C \S+ )?([a-z.][a-z-]*)", span)
        if match:
            found = bool(re.search(rf"^{re.escape(match[1])}:", makefile, re.M))
            assert found, f"{page.name} names `make {match[1]}`, which the Makefile does not have"


def test_operators_commands_and_options_exist(page: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for span in code(page):
        for words in re.findall(r"bin/ollamazure (\w.*)", span):
            name, *arguments = shlex.split(words, comments=True)
            command = group.commands.get(name)
            assert command, f"{page.name} names `bin/ollamazure {name}`"
            known = options(command)
            for option in arguments:
                if option.startswith("-"):
                    assert option in known, f"{page.name}: {name} has no option {option}"
                elif name == "ssh" and arguments[0] == "--stack" and option != arguments[1]:
                    break  # the rest is run on the machine


def options(command: object) -> set[str]:
    """The names of a command's options."""
    assert isinstance(command, TyperCommand)
    return {"--help", *(name for each in command.params for name in each.opts)}


def test_the_pull_request_template_has_the_checklist_of_contributing() -> None:
    template, page = (
        re.findall(r"^- \[ \] .*$", (PROJECT / name).read_text(encoding="utf-8"), re.M)
        for name in (".github/pull_request_template.md", "CONTRIBUTING.md")
    )
    assert template == page


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
    """Every tested rule of the emulated Azure, as the rows of a table."""
    return "".join(
        f"| {name} | `{code}` | {' '.join(words.split()).replace('|', chr(92) + '|')} |\n"
        for name, _, code, words in RULES
    )


def test_the_table_of_rules_is_the_tested_one() -> None:
    up_to_date = RULES_PAGE.read_text(encoding="utf-8").endswith(rules_table())
    assert up_to_date, "write it again: python -m tests.unit.test_docs"


if __name__ == "__main__":
    head, ruler, _ = RULES_PAGE.read_text(encoding="utf-8").partition("|---|---|---|\n")
    RULES_PAGE.write_text(head + ruler + rules_table(), encoding="utf-8")
