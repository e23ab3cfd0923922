"""Which stacks a branch touches: `python -m review.stacks --base main` prints them as JSON.

A stack's own file touches that stack, the program touches all of them, and what neither Pulumi nor
the machine ever sees touches none.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

# What no deployment sees. Everything else may be part of one: a stack can name files of its own.
OUTSIDE = (
    ".*",
    "*.md",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
    "requirements-dev.txt",
    "benchmarks/*",
    "bin/*",
    "docs/*",
    "emulator/*",
    "review/*",
    "scripts/*",
    "tests/*",
)
# Nobody's environment: the one that is deployed on the machine of whoever runs `make up`.
LOCAL = "local"
_STACK_FILE = re.compile(r"Pulumi\.([^./]+)\.yaml")


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
    files = [name for name in (changed + unknown).split("\0") if name]
    own = {found[1] for name in files if (found := _STACK_FILE.fullmatch(name))}
    if any(_is_program(name) for name in files if not _STACK_FILE.fullmatch(name)):
        own |= stacks(folder)
    return sorted(own - {LOCAL})


def _is_program(name: str) -> bool:
    return not any(
        # A pattern without a folder is for the top alone: a page further down may be a document of
        # a knowledge base.
        fnmatchcase(name, pattern) and ("/" in pattern or pattern[0] == "." or "/" not in name)
        for pattern in OUTSIDE
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m review.stacks", description="The stacks that a branch touches, as JSON."
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
