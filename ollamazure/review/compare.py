"""Previews this tree on the emulated Azure: `bin/ollamazure preview`.

With a base, the program of the merge base is deployed first, with its own pins, into a temporary
emulated Azure without machines; then this tree is previewed on it. The result is what a pull
request changes, and no account is needed. Without a base, this tree is previewed on the emulated
Azure of this folder.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from ollamazure.preview import output as preview_output
from ollamazure.preview.text import Text, Value
from ollamazure.review import comment, terminal
from ollamazure.review.changes import review_preview
from ollamazure.review.checkout import Checkout, Completed, check_out, emulate_azure
from ollamazure.review.stacks import (
    LOCAL,
    GitError,
    find_merge_base,
    find_refused,
    list_stacks,
    run_git,
)
from ollamazure.review.summary import Note

POLICIES = "policy"


@dataclass(frozen=True)
class Report:
    """The result of a comparison.

    Attributes:
        code: exit code: 0, that of the preview, or 2 if there is no preview.
        markdown: the comment.
        text: the same for a terminal.
    """

    code: int
    markdown: str
    text: str


def run(stack: str, *, base: str | None, diff: bool, output: Path | None) -> int:
    """Print what the tree in the current folder changes of a stack, or write the comment.

    Args:
        stack: its name.
        base: a commit or branch: compare with the commit where this branch left it. None: compare
            with what is deployed in this folder's emulated Azure.
        diff: print the whole difference in Pulumi's words as well.
        output: write the comment into this file instead of printing.

    Returns:
        The exit code; see `Report`.
    """
    with _exit_on_sigterm():
        report = _report(stack, Path.cwd(), base, diff)
    if output:
        output.write_text(report.markdown, encoding="utf-8")
    else:
        sys.stdout.write(report.text)
    return report.code


def _report(stack: str, folder: Path, base: str | None, diff: bool) -> Report:
    if base is None:
        return compare_with_deployed(stack, folder, diff)
    try:
        return compare_with_base(stack, folder, base, diff)
    except GitError as error:
        fix = "A shallow clone has no merge base; clone the whole history (fetch-depth: 0)."
        return _report_failure(
            stack, "There is no merge base.", Completed(2, str(error), fix), notes=()
        )


def compare_with_deployed(stack: str, folder: Path, diff: bool = False) -> Report:
    """What the tree in `folder` changes of what is deployed in its emulated Azure."""
    # Only the stack `local` has a machine here; plan mode previews the others without one.
    plan = os.environ.get("OLLAMAZURE_PLAN", "0" if stack == LOCAL else "1")
    return _preview(Checkout(folder, {"OLLAMAZURE_PLAN": plan}), stack, (), diff)


def compare_with_base(stack: str, folder: Path, base: str, diff: bool = False) -> Report:
    """What the tree in `folder` changes of a stack since its branch left `base`.

    Raises:
        GitError: git does not know `base`, or it has no commit in common with this branch.
    """
    commit = find_merge_base(base, folder)
    basis = ("Compared with ", Value(commit[:10]), " on an emulated Azure.")
    refused = [*map(_describe_refused, find_refused(commit, folder).items())]
    footnotes = (*refused, Note(basis, minor=True))
    is_here, was_there = stack in list_stacks(folder), stack in list_stacks(folder, commit)
    if not is_here:
        return _report_missing_file(stack, was_there, folder, commit, refused)
    with emulate_azure() as (home, environment):
        here = Checkout(folder, environment)
        if not was_there:
            new = Note(_describe_new_file(stack, folder, commit))
            return _preview(here, stack, (new, *footnotes), diff)
        with check_out(commit, folder, home / "base") as base_folder:
            deployed = Checkout(base_folder, environment).deploy(stack)
        if deployed.code == 0:
            return _preview(here, stack, footnotes, diff)
    with emulate_azure() as (_, environment):
        notes = (_describe_failed_base(deployed, commit), *footnotes)
        return _preview(Checkout(folder, environment), stack, notes, diff)


def _preview(checkout: Checkout, stack: str, notes: Sequence[Note], diff: bool) -> Report:
    prepared = checkout.prepare()
    if prepared.code:
        return _report_failure(stack, "The preview could not be prepared.", prepared, notes)
    policies = ["--policy-pack", POLICIES] if (checkout.folder / POLICIES).is_dir() else []
    options = ("--stack", stack, *checkout.with_documentation_address(stack), *policies)
    as_json = checkout.pulumi("preview", "--json", "--show-sames", *options)
    as_text = checkout.pulumi("preview", "--diff", *options).stdout
    try:
        preview = preview_output.read(f"{as_json.stderr}\n{as_json.stdout}", as_text)
        review = review_preview(preview)
    except preview_output.PreviewError as error:
        failed = Completed(2, "", str(error))
        return _report_failure(stack, comment.NO_PREVIEW, failed, notes)
    text = terminal.format_review(stack, review, notes)
    return Report(
        as_json.code,
        comment.format_review(stack, review, notes),
        f"{text}\n\n{as_text}" if diff else f"{text}\n",
    )


def _report_failure(stack: str, headline: str, failed: Completed, notes: Sequence[Note]) -> Report:
    return Report(
        failed.code or 2,
        comment.format_failure(stack, headline, failed.printed, notes),
        f"Stack {stack}: {headline}\n{failed.printed}\n",
    )


def _report_missing_file(
    stack: str, was_there: bool, folder: Path, commit: str, refused: Sequence[Note]
) -> Report:
    if not was_there:
        names = ", ".join(sorted(list_stacks(folder)))
        missing = f"Pulumi.{stack}.yaml does not exist. The stacks here are {names}."
        return _report_failure(stack, "There is no such stack.", Completed(2, "", missing), ())
    headline = (
        "This pull request removes the stack file. The environment is not destroyed: it keeps "
        "running and costs money until an operator checks out the former file and runs "
        "`pulumi destroy`."
    )
    successor = _find_renames(folder, commit).get(stack)
    notes = [*([_describe_successor(successor)] if successor else []), *refused]
    return Report(
        0, comment.format_failure(stack, headline, "", notes), f"Stack {stack}: {headline}\n"
    )


def _describe_refused(file: tuple[str, str]) -> Note:
    name, fault = file
    text = (
        "**",
        Value(name),
        f" is not previewed, because its stack cannot have this name:** {fault}.",
    )
    return Note(text)


def _describe_successor(successor: str) -> Note:
    text = ("Its settings moved to ", Value(successor), ", which is a new environment.")
    return Note(text)


def _describe_new_file(stack: str, folder: Path, commit: str) -> Text:
    former = {new: old for old, new in _find_renames(folder, commit).items()}.get(stack)
    if former is None:
        return ("The stack file is new, so this creates an environment.",)
    return (
        "The stack file was renamed from ",
        Value(former),
        ". **Pulumi does not rename the environment: this creates a new one. The old one keeps "
        "running, and its users and chats stay there.**",
    )


def _find_renames(folder: Path, commit: str) -> dict[str, str]:
    """The stacks whose file was renamed since `commit`: the new name by the old one."""
    changed = run_git("diff", "--name-status", "--find-renames", "-z", commit, folder=folder)
    pairs = re.findall(r"R\d+\0Pulumi\.([^/\0]+)\.yaml\0Pulumi\.([^/\0]+)\.yaml\0", changed)
    return dict(pairs)


def _describe_failed_base(failed: Completed, commit: str) -> Note:
    text = (
        "**The program of ",
        Value(commit[:10]),
        " cannot be deployed, so everything is shown as new.**",
    )
    # The messages of the program and the engine, without the list of resources that were made.
    _, _, messages = failed.stdout.partition("Diagnostics:\n")
    return Note(text, dedent(messages.partition("Resources:\n")[0]).strip() or failed.printed)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that worktrees, folders and processes are cleaned up."""

    def exit_with_number(number: int, _: object) -> None:
        sys.exit(128 + number)

    former = signal.signal(signal.SIGTERM, exit_with_number)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
