"""The stack file of a candidate: its text, the check of that text, and how it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import yaml

from ollamazure.azure.stack_file import StackFile
from ollamazure.names import fault_of_stack_name
from ollamazure.new.proposals import UNKNOWN_ADDRESS, Candidate
from ollamazure.new.text import (
    WIDTH,
    describe_size,
    describe_speed,
    describe_wishes,
    lines_of,
    sentence,
)
from ollamazure.new.wishes import Wishes
from ollamazure.settings.problems import NAMESPACE, Problem, shown
from ollamazure.settings.stack import Settings
from ollamazure.sizing.plan import make_plan
from ollamazure.templates import render_template

TEMPLATE = "ollamazure/new/stack.yaml.j2"
SSH_CLIENTS = f"{NAMESPACE}:sshClients"


def file_of(stack: str, folder: Path) -> Path:
    """The path of a stack's file."""
    return folder / f"Pulumi.{stack}.yaml"


def problem_of_name(stack: str) -> Problem | None:
    """Why a new stack cannot have this name; None if it can."""
    fault = fault_of_stack_name(NAMESPACE, stack)
    if fault is None:
        return None
    what = f"= {shown(stack, False)} is not allowed: {fault}."
    allowed = "letters, digits, ., _ and -, not first a . or -, and not last a .; for example team"
    return Problem("The stack's name", what, allowed, "bin/ollamazure new team")


def problem_of_existing(stack: str, folder: Path) -> Problem | None:
    """Why the file of a stack cannot be written; None if there is none yet."""
    file = file_of(stack, folder)
    if not os.path.lexists(file):
        return None
    return Problem(
        file.name,
        "exists, and is never overwritten.",
        "a stack without a file",
        f"bin/ollamazure new {stack}-2, or change the file: docs/reference/settings.md",
    )


def render(stack: str, wishes: Wishes, candidate: Candidate, today: date) -> str:
    """The text of the stack file, with comments."""
    return render_template(
        TEMPLATE,
        stack=stack,
        wishes=wishes,
        head=list(_head(stack, wishes, candidate, today)),
        hardware=describe_size(candidate.size),
        settings=candidate.settings,
    )


def _head(stack: str, wishes: Wishes, candidate: Candidate, today: date) -> Iterator[str]:
    """The comment at the top: the wishes, what was chosen for them, and the licences."""
    paragraphs = [
        f"{sentence(describe_wishes(wishes))}. Written by `bin/ollamazure new {stack}` on {today}.",
        f"Estimated: {candidate.cost}; {describe_speed(candidate)}.",
        *(f"Licence of {name}: {licence}" for name, licence in candidate.licences.items()),
        "All settings: docs/reference/settings.md.",
    ]
    for paragraph in paragraphs:
        yield from lines_of(paragraph, WIDTH - 2)


def check(stack: str, text: str) -> Settings:
    """The settings of a stack file's text, as the program itself reads and checks them.

    An operator's address that is still missing is taken to be set.

    Raises:
        SettingsError: naming all problems.
        SizingError: the models do not fit.
    """
    config = {SSH_CLIENTS: [UNKNOWN_ADDRESS], **yaml.safe_load(text)["config"]}
    settings = StackFile(stack, config).settings()
    make_plan(settings)
    return settings


def write(file: Path, text: str) -> None:
    """Write a new file, as a whole or not at all.

    Raises:
        FileExistsError: it exists; it stays as it is.
        OSError: it cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with part.open("x", encoding="utf-8") as stream:
            stream.write(text)
        os.link(part, file)  # unlike a rename, it never replaces a file
    finally:
        part.unlink(missing_ok=True)
