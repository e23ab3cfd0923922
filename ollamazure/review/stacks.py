"""Finds the stacks that a branch touches.

`python -m ollamazure.review.stacks --base main` prints them as JSON.

A changed stack file touches that stack, and so does a changed file that the stack's settings name.
A change of the program touches all stacks. A file that neither Pulumi nor the machine reads touches
none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from ollamazure.names import fault_of_stack_name, stack_of_file
from ollamazure.settings.problems import NAMESPACE

# No deployment reads these, unless a stack's settings name them. Anything else may be part of one.
OUTSIDE = (
    ".*",
    "*.md",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements-no-deps.txt",
    "bin/*",
    "docs/*",
    "emulator/*",
    "ollamazure/azure/*",
    "ollamazure/operate/*",
    "ollamazure/preview/*",
    "ollamazure/review/*",
    "provider/*",
    "tests/*",
    "tools/*",
)
# Not a shared environment: `make up` deploys it on the machine where it runs.
LOCAL = "local"
LONGEST_PATH = 200


class GitError(Exception):
    """git failed; the message is git's own."""


def run_git(*arguments: str, folder: Path) -> str:
    """Run git in a folder and return what it prints.

    Raises:
        GitError: it failed.
    """
    completed = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if completed.returncode:
        raise GitError(f"`git {' '.join(arguments)}` failed: {completed.stderr.strip()}")
    return completed.stdout


def find_merge_base(base: str, folder: Path) -> str:
    """The commit where the branch in `folder` left `base`.

    Raises:
        GitError: there is none, for example in a shallow clone.
    """
    return run_git("merge-base", base, "HEAD", folder=folder).strip()


def list_stacks(folder: Path, commit: str | None = None) -> set[str]:
    """The stacks that have a file in the folder or, with `commit`, in that commit."""
    names: Iterable[str] = (
        run_git("ls-tree", "--name-only", commit, folder=folder).splitlines()
        if commit
        else (file.name for file in folder.glob("Pulumi.*.yaml"))
    )
    return {stack for name in names if (stack := _allowed_stack(name))}


def _allowed_stack(file: str) -> str | None:
    """The stack of a stack file whose name is allowed; the rule also keeps markup out."""
    stack = stack_of_file(file)
    return stack if stack and fault_of_stack_name(NAMESPACE, stack) is None else None


def find_refused(commit: str, folder: Path) -> dict[str, str]:
    """The changed stack files whose stack cannot have its name, with the reason.

    Args:
        commit: where the branch left its base.
        folder: the tree.
    """
    stacks = {
        name: stack for name in _find_changed(commit, folder) if (stack := stack_of_file(name))
    }
    faults = {name: fault_of_stack_name(NAMESPACE, stack) for name, stack in stacks.items()}
    return {name: fault for name, fault in faults.items() if fault and (folder / name).exists()}


def _find_changed(commit: str, folder: Path) -> list[str]:
    changed = run_git("diff", "--name-only", "-z", "--no-renames", commit, folder=folder)
    untracked = run_git("ls-files", "--others", "--exclude-standard", "-z", folder=folder)
    return [*filter(None, (changed + untracked).split("\0"))]


def find_touched(base: str, folder: Path) -> list[str]:
    """The stacks that the tree in `folder` changes since its branch left `base`.

    New and removed stacks are included. A stack file whose stack cannot have its name touches all
    stacks, so that their comments name it.

    Raises:
        GitError: git does not know `base`.
    """
    commit = find_merge_base(base, folder)
    named_files = {
        stack: _find_named_files(folder, f"Pulumi.{stack}.yaml") for stack in list_stacks(folder)
    }
    touched: set[str] = set()
    for name in _find_changed(commit, folder):
        if stack := _allowed_stack(name):
            touched.add(stack)
        elif naming := {stack for stack, paths in named_files.items() if _is_within(name, paths)}:
            touched |= naming
        elif _is_program(name):
            touched |= named_files.keys()
    return sorted(touched - {LOCAL})


def _is_program(name: str) -> bool:
    return not any(
        # A pattern without a folder matches only at the top.
        fnmatchcase(name, pattern) and ("/" in pattern or pattern[0] == "." or "/" not in name)
        for pattern in OUTSIDE
    )


def _find_named_files(folder: Path, name: str) -> set[str]:
    """The files and folders of the tree that a stack file names, and those that they name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for text in _read_texts(folder / waiting.pop()):
            path = os.path.normpath(text)
            inside = path != "." and not path.startswith(("..", "/"))
            if inside and path not in found and (folder / path).exists():
                found.add(path)
                waiting.append(path)
    return found


def _read_texts(file: Path) -> Iterator[str]:
    """Each text in a YAML file that could be a path."""
    if file.suffix not in (".yaml", ".yml") or not file.is_file():
        return
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return  # the program reports what is wrong with it
    waiting = [root] if root else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif len(node.value) < LONGEST_PATH and "\0" not in node.value:
            yield node.value


def _is_within(name: str, paths: set[str]) -> bool:
    return any(name == path or name.startswith(f"{path}/") for path in paths)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the touched stacks; returns 1 if git does not know the base."""
    parser = argparse.ArgumentParser(
        prog="python -m ollamazure.review.stacks",
        description="The stacks that a branch touches, as JSON.",
    )
    parser.add_argument("--base", required=True, help="the target branch, for example main")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="the tree; default: here")
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(find_touched(options.base, options.folder)))
    except GitError as error:
        fix = "A shallow clone has no merge base; clone the whole history (fetch-depth: 0)."
        print(f"{error}\n{fix}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
