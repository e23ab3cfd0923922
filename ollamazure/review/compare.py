"""Previews this tree on the emulated Azure, against a merge base or against what is deployed.

    python -m ollamazure.review.compare --stack dev --base main --output comment.md
    python -m ollamazure.review.compare --stack dev

With `--base` the program of the merge base is deployed first, in plan mode and into an emulated
Azure of its own, with its own pins; this tree is previewed on that. So a pull request shows what it
changes and needs no account. Without, this folder's emulated Azure is what it is compared with.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from ollamazure.preview import output
from ollamazure.preview.text import Text, Value
from ollamazure.review import comment, terminal
from ollamazure.review.changes import review
from ollamazure.review.stacks import GitError, git, merge_base, stacks
from ollamazure.review.summary import Note

POLICIES = "policy"
# Seconds that an interrupted command may take to end.
PATIENCE = 30


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Tree:
    """A checked out program, with the emulated Azure that its commands work on.

    Attributes:
        folder: where it lies.
        environment: what its commands get besides ours.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> Done:
        """Its Python environment and the Pulumi CLI it pins, made where they are not there."""
        made = self.run("make", "--silent", ".venv")
        if made.code:
            return made
        return self.run(".venv/bin/python", "-m", "emulator.artifacts", "build", "pulumi-cli")

    def pulumi(self, *arguments: str) -> Done:
        """Run its `bin/pulumi-local`."""
        return self.run("bin/pulumi-local", "--non-interactive", "--color=never", *arguments)

    def run(self, program: str, *arguments: str) -> Done:
        """Run one of its programs in its folder, and end all that it started if we are ended."""
        try:
            process = subprocess.Popen(
                [self.folder / program if "/" in program else program, *arguments],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            return Done(127, "", f"{error.filename} does not exist.")
        try:
            stdout, stderr = process.communicate()
        except BaseException:
            _end(process)
            raise
        return Done(process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[str]) -> None:
    """End a command with all that it started: the engine ends its plugins when it is interrupted,
    and leaves them behind when it is killed."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True)
class Told:
    """What is to be said of a stack.

    Attributes:
        code: exit code: 0, that of the preview, or 2 when there was none.
        markdown: the comment.
        text: the same for a terminal.
    """

    code: int
    markdown: str
    text: str


def against_deployed(stack: str, folder: Path, whole: bool = False) -> Told:
    """What this folder's emulated Azure would see change.

    Args:
        stack: its name.
        folder: the tree.
        whole: end the text with the difference in Pulumi's words.
    """
    return _previewed(Tree(folder), stack, (), whole)


def against_base(stack: str, folder: Path, base: str, whole: bool = False) -> Told:
    """What the tree in `folder` changes of a stack against where it left `base`.

    Raises:
        GitError: git does not know `base`, or it has nothing in common with this branch.
    """
    commit = merge_base(base, folder)
    compared = ("Compared with ", Value(commit[:10]), ", on an emulated Azure.")
    of_base = Note(compared, minor=True)
    here, there = stack in stacks(folder), stack in stacks(folder, commit)
    if not here:
        return _not_described(stack, there, folder, commit)
    with emulated_azure() as (home, environment):
        tree = Tree(folder, environment)
        if not there:
            new = Note(_new(stack, folder, commit))
            return _previewed(tree, stack, (new, of_base), whole)
        with worktree(folder, commit, home / "base") as base_folder:
            deployed = deploy(Tree(base_folder, environment), stack)
        if deployed.code == 0:
            return _previewed(tree, stack, (of_base,), whole)
    with emulated_azure() as (_, environment):
        notes = (_not_deployable(deployed, commit), of_base)
        return _previewed(Tree(folder, environment), stack, notes, whole)


def deploy(tree: Tree, stack: str) -> Done:
    """Deploy a tree's program; the last thing done says how it went."""
    prepared = tree.prepare()
    if prepared.code:
        return prepared
    return tree.pulumi("up", "--yes", "--skip-preview", "--stack", stack)


def _previewed(tree: Tree, stack: str, notes: Sequence[Note], whole: bool) -> Told:
    prepared = tree.prepare()
    if prepared.code:
        return _failed(stack, "The preview could not be prepared.", prepared, notes)
    policies = ["--policy-pack", POLICIES] if (tree.folder / POLICIES).is_dir() else []
    asked = ("--stack", stack, *policies)
    said = tree.pulumi("preview", "--json", "--show-sames", *asked)
    diff = tree.pulumi("preview", "--diff", *asked).stdout
    try:
        found = review(output.read(f"{said.stderr}\n{said.stdout}", diff))
    except output.PreviewError as error:
        return _failed(stack, "There is no preview to tell of.", Done(2, "", str(error)), notes)
    text = terminal.of_review(stack, found, notes)
    return Told(
        said.code,
        comment.of_review(stack, found, notes),
        f"{text}\n\n{diff}" if whole else f"{text}\n",
    )


def _failed(stack: str, headline: str, done: Done, notes: Sequence[Note]) -> Told:
    said = _all(done)
    return Told(
        done.code or 2,
        comment.of_failure(stack, headline, said, notes),
        f"Stack {stack}: {headline}\n{said}\n",
    )


def _not_described(stack: str, there: bool, folder: Path, commit: str) -> Told:
    if not there:
        names = ", ".join(sorted(stacks(folder)))
        missing = Done(2, "", f"Pulumi.{stack}.yaml does not exist. There are stacks {names}.")
        return _failed(stack, "There is no such stack.", missing, ())
    successor = _renames(folder, commit).get(stack)
    told = (
        "This environment is no longer described. Nothing is destroyed: it goes on running and "
        "costing until somebody checks out the file of before and runs pulumi destroy."
    )
    notes: Sequence[Note] = (
        [Note(("Its settings went to ", Value(successor), ", a new environment beside it."))]
        if successor
        else []
    )
    return Told(0, comment.of_failure(stack, told, "", notes), f"Stack {stack}: {told}\n")


def _new(stack: str, folder: Path, commit: str) -> Text:
    former = {new: old for old, new in _renames(folder, commit).items()}.get(stack)
    if former is None:
        return ("The stack file is new: everything is made.",)
    return (
        "The stack file was that of ",
        Value(former),
        ". **That renames nothing: a new environment is made beside the old one, which goes on "
        "running; its users and chats stay there.**",
    )


def _renames(folder: Path, commit: str) -> dict[str, str]:
    """Stacks whose file got another name, old to new."""
    changed = git("diff", "--name-status", "--find-renames", "-z", commit, folder=folder)
    pairs = re.findall(r"R\d+\0Pulumi\.([^./]+)\.yaml\0Pulumi\.([^./]+)\.yaml\0", changed)
    return dict(pairs)


def _not_deployable(done: Done, commit: str) -> Note:
    told = ("**The program of ", Value(commit[:10]), " does not deploy: everything shows as new.**")
    # What the program and the engine say, without the list of what was made until then.
    _, _, said = done.stdout.partition("Diagnostics:\n")
    return Note(told, dedent(said.partition("Resources:\n")[0]).strip() or _all(done))


def _all(done: Done) -> str:
    return f"{done.stdout}\n{done.stderr}".strip()


@contextmanager
def emulated_azure() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with an emulated Azure in plan mode, there for as long as this, and the environment
    that leads commands to it. Without machines it is nothing but files."""
    with tempfile.TemporaryDirectory(prefix="ollamazure-review-") as name:
        home = Path(name)
        yield home, {"OLLAMAZURE_PLAN": "1", "OLLAMAZURE_EMULATOR": str(home / "emulator")}


@contextmanager
def worktree(folder: Path, commit: str, place: Path) -> Iterator[Path]:
    """The tree of a commit, checked out for as long as this."""
    git("worktree", "add", "--quiet", "--detach", str(place), commit, folder=folder)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        git("worktree", "prune", folder=folder)


def _ended(number: int, _: object) -> None:
    """A polite end runs what cleans up."""
    sys.exit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ollamazure.review.compare",
        description="What this tree changes of a stack, on the emulated Azure.",
    )
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument(
        "--base",
        metavar="REF",
        help="compare with where this branch left REF; without, with what is deployed",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write a comment in Markdown there"
    )
    parser.add_argument("--diff", action="store_true", help="print the whole difference, too")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="the tree; here by default")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    try:
        told = (
            against_base(options.stack, folder, options.base, options.diff)
            if options.base
            else against_deployed(options.stack, folder, options.diff)
        )
    except GitError as error:
        fix = "A shallow clone has no merge base: fetch-depth: 0."
        told = _failed(options.stack, "There is no merge base.", Done(2, fix, str(error)), ())
    if options.output:
        options.output.write_text(told.markdown, encoding="utf-8")
    else:
        sys.stdout.write(told.text)
    return told.code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _ended)
    sys.exit(main())
