"""Strict stand-ins for programs that call services on the internet: `az`, `gh`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """\
#!{python} -IS
import json, sys
answers = json.load(open({answers!r}))
words = sys.argv[1:]
sent = sys.stdin.read() if {{"-", "--secret"}} & {{*words}} else ""
with open({log!r}, "a") as log:
    log.write(json.dumps([words, sent]) + "\\n")
answer = answers.get(json.dumps(words))
if answer is None:
    sys.exit({unknown!r} + ": " + " ".join(words))
if "error" in answer:
    sys.exit("ERROR: " + answer["error"])
print(answer["text"])
"""


class Program:
    """A program with a fixed answer to each command line, and a log of its calls."""

    unknown = "ERROR: unrecognized arguments"
    """Its error for any other command line."""

    def __init__(self, folder: Path, name: str) -> None:
        """`folder` has to be on PATH."""
        self.file, self.log = folder / name, folder / f"{name}.log"
        self.answers: dict[str, dict[str, str]] = {}

    def answer(self, arguments: str, answer: Any) -> None:
        """What it prints as JSON; nothing for None."""
        self._set(arguments, {"text": "" if answer is None else json.dumps(answer)})

    def fail(self, arguments: str, error: str) -> None:
        self._set(arguments, {"error": error})

    def install(self) -> None:
        answers = self.file.with_suffix(".json")
        answers.write_text(json.dumps(self.answers))
        self.file.write_text(
            _PROGRAM.format(
                python=sys.executable,
                answers=str(answers),
                log=str(self.log),
                unknown=self.unknown,
            )
        )
        self.file.chmod(0o755)

    def asked(self) -> list[str]:
        """Each call as a line of shell."""
        return [shlex.join(words) for words, _ in self.calls()]

    def calls(self) -> list[tuple[list[str], str]]:
        """The words of each call, and what it read on standard input."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [(words, sent) for words, sent in map(json.loads, lines)]

    def _set(self, arguments: str, answer: dict[str, str]) -> None:
        self.answers[json.dumps(shlex.split(arguments))] = answer
