"""`bin/ollamazure new`: reads the wishes, prints proposals, writes the stack file of one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import typer

from ollamazure.new import stack_file, wishes
from ollamazure.new.proposals import Candidate, nearest, propose
from ollamazure.new.text import format_nearest, format_next_steps, format_proposals
from ollamazure.new.wishes import OPTIONS, WishError, Wishes
from ollamazure.settings import schema
from ollamazure.settings.problems import Problem

WRITTEN, REFUSED, WRONG = 0, 1, 2
EXAMPLE = "--people 20 --budget 300 --yes"


def run(stack: str, given: Mapping[str, Any], *, yes: bool, folder: Path) -> int:
    """Propose what meets the wishes, and write the stack file of the one that is chosen.

    Args:
        stack: the name of the new stack.
        given: wishes by key, as texts; those that are missing are asked on a terminal.
        yes: take the first proposal, and ask nothing.
        folder: of the project.

    Returns:
        The exit code: 0 the file is written; 1 nothing fits, the file exists, or nothing was
        chosen; 2 a wish is missing or impossible.
    """
    asks = not yes and sys.stdin.isatty()
    exists = stack_file.problem_of_existing(stack, folder)
    wrong = [
        *_problems_of_call(stack, yes=yes, asks=asks),
        *wishes.problems_of(given, complete=not asks),
    ]
    if problems := [*filter(None, [exists]), *wrong]:
        print(f"new: {WishError(problems)}", file=sys.stderr)
        return WRONG if wrong else REFUSED
    wanted = wishes.read({**given, **_ask(given)} if asks else given)
    candidates = propose(wanted)
    if not candidates:
        print(f"new: {format_nearest(wanted, nearest(wanted))}", file=sys.stderr)
        return REFUSED
    print(format_proposals(wanted, candidates), end="\n\n")
    chosen = _choose(candidates) if asks else candidates[0]
    if chosen is None:
        print("new: nothing was chosen, and nothing has been written.", file=sys.stderr)
        return REFUSED
    return _write(stack, wanted, chosen, folder)


def _problems_of_call(stack: str, *, yes: bool, asks: bool) -> list[Problem]:
    found = [stack_file.problem_of_name(stack)]
    if not yes and not asks:
        what = "is not set, and there is no terminal to ask on."
        allowed = "--yes, which takes the first proposal, with the wishes as options"
        found.append(Problem("--yes", what, allowed, f"bin/ollamazure new team {EXAMPLE}"))
    return [*filter(None, found)]


def _ask(given: Mapping[str, Any]) -> dict[str, Any]:
    """The wishes that are not given, asked one by one until each answer is allowed."""
    answers: dict[str, Any] = {}
    for key, field in schema.fields_of(Wishes):
        if key in given:
            continue
        known = {**given, **answers}
        text = typer.prompt(
            str(field.description),
            default=_default(key, known),
            show_default=key != "sshClient",
            value_proc=partial(_check_answer, key, known),
        )
        if text:
            answers[key] = wishes.from_text(key, text)
    return answers


def _default(key: str, known: Mapping[str, Any]) -> str | None:
    """The answer to an empty line; None where only the user knows it."""
    if key in ("people", "budget"):
        return None
    if key == "atOnce":
        return str(wishes.default_at_once(int(known["people"])))
    field = schema.field_named(key, Wishes)
    default = schema.default_of(field) if field else None
    if isinstance(default, bool):
        return "yes" if default else "no"
    return ",".join(default) if isinstance(default, list | tuple) else default or ""


def _check_answer(key: str, known: Mapping[str, Any], text: str) -> str:
    optional = key == "sshClient" and not text.strip()
    together = {**known, key: wishes.from_text(key, text)}
    found = [] if optional else wishes.problems_of(together, complete=False)
    if found:
        raise typer.BadParameter(f"{OPTIONS[key]} {found[0].what} Allowed: {found[0].allowed}")
    return text.strip()


def _choose(candidates: list[Candidate]) -> Candidate | None:
    """The candidate whose number is typed; None for 0."""
    numbers = [str(number) for number in range(len(candidates) + 1)]

    def check(text: str) -> int:
        if text.strip() not in numbers:
            raise typer.BadParameter(f"Type a number from 0 to {len(candidates)}.")
        return int(text)

    number = typer.prompt("Write the stack file of which one (0: none)", "1", value_proc=check)
    return candidates[number - 1] if number else None


def _write(stack: str, wanted: Wishes, chosen: Candidate, folder: Path) -> int:
    text = stack_file.render(stack, wanted, chosen, date.today())
    stack_file.check(stack, text)
    file = stack_file.file_of(stack, folder)
    try:
        stack_file.write(file, text)
    except OSError as error:  # also if it was made meanwhile
        print(f"new: {file} cannot be written: {error.strerror}.", file=sys.stderr)
        return REFUSED
    print(format_next_steps(stack, file.name, wanted))
    return WRITTEN
