"""Which stacks a branch touches.

`python -m ollamazure.review.stacks --base main` prints them as JSON.

A stack's own file touches that stack, and so do the files that its settings name; the program
touches all of them; what neither Pulumi nor the machine ever sees touches none.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

# What no deployment sees, unless a stack's settings name it. Everything else may be part of one.
OUTSIDE = (
    ".*",
    "*.md",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
    "requirements-dev.txt",
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
# Nobody's environment: the one that is deployed on the machine of whoever runs `make up`.
LOCAL = "local"
LONGEST_PATH = 200
# Pulumi allows no other names; one with markup in it would be shown.
_STACK_FILE = re.compile(r"Pulumi\.([A-Za-z0-9_-]+)\.yaml")


class GitError(Exception):
    """git cannot answer; the message is its own."""


def git(*arguments: str, folder: Path) -> str:
    """What git prints.

    Raises:
        GitError: it failed.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GitError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def merge_base(base: str, folder: Path) -> str:
    """The commit where the branch in `folder` left `base`.

    Raises:
        GitError: there is none, as in a shallow clone.
    """
    return git("merge-base", base, "HEAD", folder=folder).strip()


def stacks(folder: Path, commit: str | None = None) -> set[str]:
    """The stacks that the tree has files for, as it lies there or at a commit."""
    names: Iterable[str] = (
        git("ls-tree", "--name-only", commit, folder=folder).splitlines()
        if commit
        else (file.name for file in folder.glob("Pulumi.*.yaml"))
    )
    return {found[1] for name in names if (found := _STACK_FILE.fullmatch(name))}


def touched(base: str, folder: Path) -> list[str]:
    """The stacks that the tree in `folder` changes against where it left `base`.

    Stacks that are new or no longer there are among them.

    Raises:
        GitError: git does not know `base`.
    """
    commit = merge_base(base, folder)
    changed = git("diff", "--name-only", "-z", "--no-renames", commit, folder=folder)
    unknown = git("ls-files", "--others", "--exclude-standard", "-z", folder=folder)
    mentions = {stack: _mentions(folder, f"Pulumi.{stack}.yaml") for stack in stacks(folder)}
    found: set[str] = set()
    for name in filter(None, (changed + unknown).split("\0")):
        if own := _STACK_FILE.fullmatch(name):
            found.add(own[1])
        elif naming := {stack for stack in mentions if _is_within(name, mentions[stack])}:
            found |= naming
        elif _is_program(name):
            found |= mentions.keys()
    return sorted(found - {LOCAL})


def _is_program(name: str) -> bool:
    return not any(
        # A pattern without a folder is for the top alone.
        fnmatchcase(name, pattern) and ("/" in pattern or pattern[0] == "." or "/" not in name)
        for pattern in OUTSIDE
    )


def _mentions(folder: Path, name: str) -> set[str]:
    """Files and folders of the tree that a stack's file names, and those that they name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for text in _texts(folder / waiting.pop()):
            path = os.path.normpath(text)
            inside = path != "." and not path.startswith(("..", "/"))
            if inside and path not in found and (folder / path).exists():
                found.add(path)
                waiting.append(path)
    return found


def _texts(file: Path) -> Iterator[str]:
    """Every text in a YAML file that could be a path."""
    if file.suffix not in (".yaml", ".yml") or not file.is_file():
        return
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return  # the program will say what is wrong with it
    waiting = [root] if root else []
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif len(node.value) < LONGEST_PATH and "\0" not in node.value:
            yield node.value


def _is_within(name: str, places: set[str]) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in places)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ollamazure.review.stacks",
        description="The stacks that a branch touches, as JSON.",
    )
    parser.add_argument("--base", required=True, help="where the branch goes, for example main")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="the tree; here by default")
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(touched(options.base, options.folder)))
    except GitError as error:
        print(f"{error}\nA shallow clone has no merge base: fetch-depth: 0.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
