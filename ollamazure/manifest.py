"""The manifest of a command on the machine: one JSON object that says what the command does.

components/remote_command.py writes it, and the script of the command starts with it. Three readers
rely on it and on nothing else in the script: the review (ollamazure/preview/command.py), the
policies (policy/resources.py) and the machine (guest/usr/local/lib/ollamazure/drift.py).

Pulumi hides a script with secrets as a whole. The manifest holds no secret, so such a command has
it in the environment variable OLLAMAZURE_MANIFEST, too.
"""

from __future__ import annotations

import base64
import hashlib
import json

from pydantic import BaseModel, ConfigDict, ValidationError

# The machine's sshd accepts it: guest/etc/ssh/sshd_config.d/10-ollamazure.conf.
VARIABLE = "OLLAMAZURE_MANIFEST"
END_OF_FILE = "END_OF_FILE"
_START = "manifest=$(cat <<'END_OF_MANIFEST'\n"
_END = "\nEND_OF_MANIFEST\n)\n"


class ManifestError(Exception):
    """The command has no manifest that can be read; the message says why."""


class InstalledFile(BaseModel):
    """A file that a command installs; root owns it.

    Attributes:
        path: absolute path on the machine.
        mode: octal permissions.
        sha256: of the content; None if the content is a secret, whose digest only the machine has.
        lines: number of lines that the script has for the content; 0 for a secret.
        base64: whether these lines are the content in base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    mode: str
    sha256: str | None
    lines: int
    base64: bool = False


class Manifest(BaseModel):
    """What a command does.

    Attributes:
        name: of the command's resource.
        purpose: continues "the command to …".
        machine: the identity of the machine that it runs on.
        reapply: the setting that makes every command run again.
        secrets: whether the script has secrets.
        input: a text that a preview shows although the script has secrets.
        setup: number of lines between the manifest and the first file.
        files: the files that it installs, in the order of the script.
        script: SHA-256 of the command's own lines, which follow the files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    purpose: str
    machine: str
    reapply: str | None
    secrets: bool
    input: str | None
    setup: int
    files: tuple[InstalledFile, ...]
    script: str

    def to_json(self) -> str:
        """The manifest with one line for each field and each file, for the lines of a preview."""
        fields = [f'  "{name}": {_json(value)}' for name, value in self if name != "files"]
        files = [f"    {_json(file.model_dump(exclude_defaults=True))}" for file in self.files]
        listed = "[\n" + ",\n".join(files) + "\n  ]" if files else "[]"
        return "{\n" + ",\n".join([*fields, f'  "files": {listed}']) + "\n}"

    def opening(self) -> str:
        """The first lines of the script, which keep the manifest in the variable `manifest`."""
        return f"{_START}{self.to_json()}{_END}"

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """The manifest in a JSON text.

        Raises:
            ManifestError: the text is not JSON or has another shape.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise ManifestError(
                f"{where}: {problem['msg']}" if where else problem["msg"]
            ) from error


def split(script: str) -> tuple[str, str]:
    """The JSON text of the manifest that a script starts with, and the rest of the script.

    Raises:
        ManifestError: the script does not start with a manifest.
    """
    text, end, rest = script.removeprefix(_START).partition(_END)
    if not script.startswith(_START) or not end:
        raise ManifestError("the script does not start with a manifest")
    return text, rest


def read(script: str | None, shown: str = "") -> Manifest:
    """The manifest of a command.

    Args:
        script: None if it is hidden as a secret or not known yet. Only then is `shown` enough: a
            script that can be read must start with its manifest, whatever the environment says.
        shown: the value of its environment variable OLLAMAZURE_MANIFEST.

    Raises:
        ManifestError: there is no manifest that can be read, or there are two different ones.
    """
    if script is None:
        return Manifest.parse(shown)
    text, _ = split(script)
    if shown and shown != text:
        raise ManifestError(f"{VARIABLE} has another manifest than the script")
    return Manifest.parse(text)


def contents(manifest: Manifest, script: str) -> tuple[dict[str, bytes], str]:
    """The content of each file by its path, secrets excepted, and the command's own lines.

    Raises:
        ManifestError: the script is not the one that the manifest describes.
    """
    _, rest = split(script)
    lines = rest.split("\n")
    at, found = manifest.setup, {}
    for file in manifest.files:
        text = "\n".join(lines[at + 1 : at + 1 + file.lines]) + "\n"
        if file.sha256 is not None:
            found[file.path] = base64.b64decode(text) if file.base64 else text.encode()
            _compare(digest(found[file.path]), file.sha256, file.path)
            at += file.lines + 1  # the line that ends the text
        at += 2  # the line before the text, and an empty one
    own = "\n".join(lines[at:])
    _compare(digest(own.encode()), manifest.script, "the command's own lines")
    return found, own


def digest(content: bytes) -> str:
    """SHA-256 (hex)."""
    return hashlib.sha256(content).hexdigest()


def _compare(actual: str, expected: str, what: str) -> None:
    if actual != expected:
        raise ManifestError(f"{what}: the script has another text than the manifest says")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
