"""Follows a page of docs/tutorial/: runs its commands, and compares the output that it shows."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REST = "…"
"""Stands on a page for what varies: within a line, or as a line for any number of lines."""


@dataclass(frozen=True)
class TutorialStep:
    """A command of a page, and its output as the page shows it; None if it shows none."""

    command: str
    output: str | None


def read_steps(page: Path) -> list[TutorialStep]:
    """The indented lines of the page. A block of text after them is the output of the last one."""
    steps: list[TutorialStep] = []
    block: list[str] | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            if block is not None and steps:
                steps[-1] = TutorialStep(steps[-1].command, "\n".join(block))
            block = [] if block is None else None
        elif block is not None:
            block.append(line)
        elif line.startswith("    "):
            steps.append(TutorialStep(line.strip(), None))
    return steps


def matches(shown: str, printed: str) -> bool:
    """Whether the printed text is the shown one; blanks at the ends of lines do not matter."""
    return bool(re.fullmatch("".join(_patterns(shown)), _trim(printed)))


def _patterns(shown: str) -> Iterator[str]:
    for line in _trim(shown).splitlines():
        if line == REST:
            yield r"(?:.*\n)*?"
        else:
            yield ".*".join(map(re.escape, line.split(REST))) + r"\n"


def _trim(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())


def run_on_terminal(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of a command, and what it prints on a terminal that can only show lines.

    Nothing is typed: a question ends the command.
    """
    # With these, a `make` that `make test-long` started would print that it enters a folder.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    reader, terminal = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env={**own, **environment, "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        printed = b"".join(_chunks(reader))
    os.close(reader)
    return process.returncode, printed.decode(errors="replace").replace("\r\n", "\n")


def _chunks(reader: int) -> Iterator[bytes]:
    """What is printed until no process has the terminal any more, which Linux reports as EIO."""
    while True:
        try:
            chunk = os.read(reader, 65536)
        except OSError:
            return
        if not chunk:
            return
        yield chunk
