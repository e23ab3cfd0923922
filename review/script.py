"""What a command on the machine consists of, read from the script that goes into it.

The script is made by components/remote.py: functions, the files it installs (`put PATH MODE`), and
at the end the lines that are this command's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = re.compile(r"^# ollamazure: .* on the machine (\S+?)(?:, again: (.*))?$", re.M)
_FILE = re.compile(
    r"^put '?(?P<path>/[^\s']+)'? [^\n]*<<'(?P<end>\w+)'\n(?P<text>.*?)^(?P=end)\n", re.M | re.S
)
# The last line of a function.
_FUNCTION_END = re.compile(r"^\}\n", re.M)


@dataclass(frozen=True)
class Script:
    """A command's script in parts.

    Attributes:
        machine: the identity of the machine it runs on.
        reapply: the setting that makes every command run again.
        files: content by path.
        body: its own lines.
    """

    machine: str
    reapply: str
    files: Mapping[str, str]
    body: str

    @classmethod
    def read(cls, text: str) -> Script:
        """The parts of a script; a text of another form is all body."""
        head = _HEAD.search(text)
        rest = _FILE.sub("", text)
        ends = [match.end() for match in _FUNCTION_END.finditer(rest)]
        return cls(
            head[1] if head else "",
            (head[2] or "") if head else "",
            {found["path"]: found["text"] for found in _FILE.finditer(text)},
            rest[ends[-1] if ends else 0 :].strip(),
        )

    def differs(self, other: Script) -> list[str]:
        """What of the two is different: `machine`, `reapply`, `file:PATH`, `script`."""
        found = ["machine"] if self.machine != other.machine else []
        if self.reapply != other.reapply:
            found.append("reapply")
        for path in sorted(self.files.keys() | other.files.keys()):
            if self.files.get(path) != other.files.get(path):
                found.append(f"file:{path}")
        if self.body != other.body:
            found.append("script")
        return found

    def part(self, aspect: str) -> str:
        """The text that an aspect of `differs` is about."""
        path = aspect.removeprefix("file:")
        return self.body if path == aspect else self.files.get(path, "")
