"""A Pulumi project in a folder of its own, run by the real CLI with the emulator's plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.artifacts import paths
from emulator.host import teardown
from emulator.instance import Instance
from emulator.plugins import install

_MANIFEST = f"""\
name: test
runtime:
  name: python
  options:
    virtualenv: {Path(sys.prefix)}
"""


@dataclass(frozen=True)
class Result:
    """How a command ended, and its output."""

    code: int
    text: str

    def ok(self) -> Result:
        assert self.code == 0, self.text
        return self

    def failed(self) -> Result:
        assert self.code != 0, self.text
        return self


@contextmanager
def emulated_azure(home: Path, *, plan: bool = False) -> Iterator[Instance]:
    """An emulated Azure with our own plugins, which is removed from the host afterwards."""
    instance = Instance.open(home)
    try:
        install.install(instance, paths.pulumi(), official=False, plan=plan)
        yield instance
    finally:
        teardown.remove(instance)
        instance.release()


class Project:
    """One program with one stack, `dev`."""

    def __init__(self, folder: Path, instance: Instance, program: str) -> None:
        self.folder = folder
        self._state = folder / "state"
        self._state.mkdir()
        (folder / "Pulumi.yaml").write_text(_MANIFEST)
        self.write(program)
        # No setting of the caller's Azure, Pulumi or SSH agent reaches the tested program.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PULUMI_", "ARM_", "SSH_", "OLLAMAZURE_"))
        }
        self.environment = kept | {
            "OLLAMAZURE_EMULATOR": str(instance.home),
            "PULUMI_HOME": str(instance.pulumi_home),
            "PULUMI_BACKEND_URL": f"file://{self._state}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        }
        self.run("stack", "init", "dev").ok()

    def write(self, program: str) -> None:
        (self.folder / "__main__.py").write_text(program)

    def command(self, *arguments: str) -> list[str]:
        return [str(paths.pulumi()), "--non-interactive", "--color=never", *arguments]

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Result:
        ran = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Result(ran.returncode, ran.stdout)

    def up(self, **environment: str) -> Result:
        return self.run("up", "--yes", "--skip-preview", environment=environment)

    def outputs(self) -> dict[str, Any]:
        shown = self.run("stack", "output", "--json", "--show-secrets").ok().text
        return dict(json.loads(shown))

    def resources(self) -> dict[str, dict[str, Any]]:
        """The state's resources by name, with encrypted secrets."""
        exported = json.loads(self.run("stack", "export").ok().text)
        return {
            resource["urn"].rsplit("::", 1)[-1]: resource
            for resource in exported["deployment"].get("resources", [])
        }

    def stored(self) -> str:
        """The text of all files with the stack's state."""
        return "\n".join(
            file.read_text(errors="replace") for file in self._state.rglob("*") if file.is_file()
        )


def processes_in(folder: Path) -> dict[int, str]:
    """The command lines of the processes that work in this folder, by their ids."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found[int(process.name)] = (process / "cmdline").read_text()
        except OSError:
            continue
    return found
