"""What a command on the machine does, from its inputs in a preview: the manifest decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ollamazure import manifest
from ollamazure.manifest import Manifest
from ollamazure.preview.output import SECRET, UNKNOWN


@dataclass(frozen=True)
class CommandPlan:
    """A command in parts.

    Attributes:
        manifest: what it does.
        texts: content of the files by path; none if the script is secret.
        script: its own lines; empty if the script is secret.
    """

    manifest: Manifest
    texts: Mapping[str, str]
    script: str

    @classmethod
    def read(cls, inputs: Mapping[str, Any]) -> CommandPlan:
        """The parts of a command with these inputs.

        Raises:
            ManifestError: no manifest can be read, or the script is not the one it describes.
        """
        stdin = str(inputs.get("stdin") or "")
        variables = inputs.get("environment")
        shown = variables.get(manifest.VARIABLE) if isinstance(variables, Mapping) else None
        if stdin in (SECRET, UNKNOWN):
            return cls(manifest.read(None, str(shown or "")), {}, "")
        described = manifest.read(stdin, str(shown or ""))
        contents, script = manifest.contents(described, stdin)
        texts = {path: content.decode(errors="replace") for path, content in contents.items()}
        return cls(described, texts, script)

    def differences(self, other: CommandPlan) -> list[str]:
        """The aspects in which two differ: machine, reapply, input, file:PATH, script."""
        names = ("machine", "reapply", "input")
        old, new = self.manifest, other.manifest
        found = [name for name in names if getattr(old, name) != getattr(new, name)]
        before, after = ({file.path: file for file in one.files} for one in (old, new))
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                found.append(f"file:{path}")
        if old.script != new.script:
            found.append("script")
        return found

    def part(self, aspect: str) -> str:
        """The text of an aspect; empty if the script is secret."""
        if aspect.startswith("file:"):
            return self.texts.get(aspect.removeprefix("file:"), "")
        return self.manifest.input or "" if aspect == "input" else self.script
