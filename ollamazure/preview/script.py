"""What a command on the machine consists of, read from the script that goes into it.

The script is made by components/remote_command.py: functions, the files it installs (`put PATH
MODE`), and at the end the lines that are this command's own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = re.compile(r"^# ollamazure: .* on the machine (\S+?)(?:, again: (.*))?$", re.M)
# What a secret script finds on its standard input, in plain sight in the command line.
_INPUT = re.compile(r"^input=(.*)\n", re.M)
_FILE = re.compile(
    r"^(?:\{ base64 --decode \| )?put '?(?P<path>/[^\s']+)'? [^\n]*<<'(?P<end>\w+)'\n"
    r"(?P<text>.*?)^(?P=end)\n",
    re.M | re.S,
)
# The last line of a function.
_FUNCTION_END = re.compile(r"^\}\n", re.M)


@dataclass(frozen=True)
class Script:
    """A command's script in parts.

    Attributes:
        machine: the identity of the machine it runs on.
        reapply: the setting that makes every command run again.
        input: what it finds on its standard input.
        files: content by path.
        body: its own lines.
    """

    machine: str
    reapply: str
    input: str
    files: Mapping[str, str]
    body: str

    @classmethod
    def read(cls, text: str) -> Script:
        """The parts of a script; a text of another form is all body."""
        head = _HEAD.search(text)
        given = _INPUT.search(text)
        rest = _INPUT.sub("", _FILE.sub("", text))
        ends = [match.end() for match in _FUNCTION_END.finditer(rest)]
        return cls(
            head[1] if head else "",
            (head[2] or "") if head else "",
            "".join(shlex.split(given[1])) if given else "",
            {found["path"]: found["text"] for found in _FILE.finditer(text)},
            rest[ends[-1] if ends else 0 :].strip(),
        )

    def differs(self, other: Script) -> list[str]:
        """What of the two is different: `machine`, `reapply`, `input`, `file:PATH`, `script`."""
        names = ("machine", "reapply", "input")
        found = [name for name in names if getattr(self, name) != getattr(other, name)]
        for path in sorted(self.files.keys() | other.files.keys()):
            if self.files.get(path) != other.files.get(path):
                found.append(f"file:{path}")
        if self.body != other.body:
            found.append("script")
        return found

    def part(self, aspect: str) -> str:
        """The text that an aspect of `differs` is about."""
        if aspect.startswith("file:"):
            return self.files.get(aspect.removeprefix("file:"), "")
        return self.input if aspect == "input" else self.body
