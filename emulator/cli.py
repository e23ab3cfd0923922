"""pulumi-local: the real Pulumi CLI, with Azure answered by this machine.

All arguments go to Pulumi and its exit code comes back. What is different is around it: an own
PULUMI_HOME with our azure-native plugin, an own state, and a scratch copy of the project, so that
the stack files of the tree are never written to.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from emulator import recovery
from emulator.artifacts import paths
from emulator.instance import PROJECT, Instance
from emulator.plugins import install

DEFAULT_STACK = "local"
# What the passphrase of another backend wrote into a stack file means nothing to this one.
_ENCRYPTION_KEYS = ("secretsprovider", "encryptedkey", "encryptionsalt")
SECRET_PLACEHOLDER = "placeholder-for-a-secret"  # noqa: S105
_CHANGES_STATE = {"up", "update", "destroy", "down", "dn", "refresh", "import", "watch"}
_USES_A_STACK = _CHANGES_STATE | {
    "preview",
    "pre",
    "config",
    "stack",
    "state",
    "logs",
    "cancel",
    "console",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run Pulumi with `arguments`; returns its exit code, or 2 when we refuse to."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        instance = open_instance()
        refuse_real_azure(os.environ)
        project = ScratchProject(instance)
        project.lay_out()
        environment = pulumi_environment(instance)
        install.install(instance, paths.pulumi())
        pulumi = Pulumi(paths.pulumi(), project.folder, environment)
        stack = stack_of(arguments)
        if needs_stack(arguments):
            pulumi.ensure_stack(stack, project)
        if set(arguments) & _CHANGES_STATE:
            recovery.recover(instance, pulumi.run_quietly, stack)
    except RefusalError as refusal:
        print(f"pulumi-local: {refusal}", file=sys.stderr)
        return 2
    code = pulumi.run([*arguments])
    if "config" in arguments:
        project.keep_settings(stack)
    return code


class RefusalError(Exception):
    """pulumi-local does not go on; the message says why and what to do."""


def open_instance() -> Instance:
    """The instance of this project, or, in plan mode, a second one that has no machines."""
    if os.environ.get("OLLAMAZURE_PLAN") == "1" and "OLLAMAZURE_EMULATOR" not in os.environ:
        return Instance.open(PROJECT / ".emulator" / "plan")
    return Instance.open()


def refuse_real_azure(environment: os._Environ[str] | dict[str, str]) -> None:
    """Refuse to run beside credentials of the real cloud.

    Raises:
        RefusalError: an ARM_* variable is set.
    """
    found = sorted(name for name in environment if name.startswith("ARM_"))
    if found:
        raise RefusalError(
            f"{', '.join(found)} is set, and pulumi-local must never reach the real Azure. "
            f"Unset it (`env {' '.join(f'-u {name}' for name in found)} bin/pulumi-local …`), or "
            "use `pulumi` itself for the real one."
        )


def pulumi_environment(instance: Instance) -> dict[str, str]:
    """The environment of the CLI and all it starts."""
    passphrase = instance.home / "passphrase"
    if not passphrase.exists():
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(24))
    nothing = instance.home / "azure-config"
    for folder in (instance.backend, instance.pulumi_home, nothing, instance.home / "bin"):
        folder.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        # A stale SSH agent makes pulumi-command fail to connect.
        if not name.startswith(("PULUMI_", "AZURE_")) and name != "SSH_AUTH_SOCK"
    }
    return {
        **kept,
        "PATH": os.pathsep.join(
            [str(instance.home / "bin"), str(paths.pulumi().parent), kept.get("PATH", "")]
        ),
        "AZURE_CONFIG_DIR": str(nothing),
        "OLLAMAZURE_EMULATOR": str(instance.home),
        "PULUMI_HOME": str(instance.pulumi_home),
        "PULUMI_BACKEND_URL": f"file://{instance.backend}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # A plugin on PATH would win over ours and could reach the real cloud.
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
        "PYTHONPATH": str(PROJECT),
    }


def stack_of(arguments: Sequence[str]) -> str:
    """The stack named by `-s NAME`, `--stack NAME` or `--stack=NAME`, else the default."""
    for index, argument in enumerate(arguments):
        if argument in ("-s", "--stack") and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith("--stack="):
            return argument.partition("=")[2]
    return os.environ.get("PULUMI_STACK") or DEFAULT_STACK


def needs_stack(arguments: Sequence[str]) -> bool:
    """Whether the command works on a stack, which then should be there by itself."""
    return bool(set(arguments) & _USES_A_STACK) and not set(arguments) & {"init", "-h", "--help"}


class Pulumi:
    """The CLI with its environment, in the scratch project."""

    def __init__(self, cli: Path, folder: Path, environment: dict[str, str]) -> None:
        self._cli, self._folder, self._environment = cli, folder, environment

    def run(self, arguments: Sequence[str]) -> int:
        """Run with the terminal's own input and output; Ctrl-C reaches the CLI, not us."""
        environment = {**self._environment}
        environment.setdefault("PULUMI_STACK", stack_of(arguments))
        process = subprocess.Popen([self._cli, *arguments], cwd=self._folder, env=environment)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the CLI got it too, and says itself how it ends

    def run_quietly(self, *arguments: str, stdin: str | None = None) -> str:
        """Run and return standard output.

        Raises:
            RefusalError: the CLI failed; the message is the CLI's own.
        """
        done = subprocess.run(
            [self._cli, "--non-interactive", *arguments],
            cwd=self._folder,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RefusalError(f"`pulumi {' '.join(arguments)}` failed:\n{done.stderr or done.stdout}")
        return done.stdout

    def ensure_stack(self, stack: str, project: ScratchProject) -> None:
        """Make the stack on first use, when the project has a file for it."""
        known = {entry["name"] for entry in json.loads(self.run_quietly("stack", "ls", "--json"))}
        if stack in known:
            return
        if not (PROJECT / f"Pulumi.{stack}.yaml").exists():
            raise RefusalError(
                f"there is no stack {stack!r}: the project has no Pulumi.{stack}.yaml. "
                f"Stacks are {', '.join(project.stacks())}; choose one with -s."
            )
        self.run_quietly("stack", "init", stack, "--no-select")
        project.keep_settings(stack)


class ScratchProject:
    """The project as Pulumi sees it: links to the tree, copies of the stack files."""

    def __init__(self, instance: Instance) -> None:
        self.folder = instance.home / "project"
        self._kept = instance.home / "settings"

    def stacks(self) -> list[str]:
        """The stacks that the tree has files for."""
        return sorted(file.name.split(".")[1] for file in PROJECT.glob("Pulumi.*.yaml"))

    def lay_out(self) -> None:
        """Bring the links and copies up to date with the tree."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kept.mkdir(exist_ok=True, mode=0o700)
        wanted = {
            entry.name: entry
            for entry in PROJECT.iterdir()
            if entry.name not in (".git", ".emulator") and not _is_stack_file(entry)
        }
        for link in self.folder.iterdir():
            if link.name not in wanted and link.is_symlink():
                link.unlink()
        for name, entry in wanted.items():
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(entry)
        for stack in {*self.stacks(), *(file.stem for file in self._kept.iterdir())}:
            self._copy(stack)

    def keep_settings(self, stack: str) -> None:
        """Keep what a command wrote into the copy: `pulumi-local config set` stays, the tree does
        not change."""
        copy, source = self._load(stack)
        original = self._from_tree(source)
        before, after = original.get("config", {}), copy.get("config", {})
        kept: dict[str, Any] = {
            # The CLI writes numbers as text: that alone is no change.
            "config": {
                key: value for key, value in after.items() if str(before.get(key)) != str(value)
            },
            "removed": [key for key in before if key not in after],
            **{key: copy[key] for key in _ENCRYPTION_KEYS if key in copy},
        }
        (self._kept / f"{stack}.yaml").write_text(yaml.safe_dump(kept))

    def _copy(self, stack: str) -> None:
        copy_file = self.folder / f"Pulumi.{stack}.yaml"
        source = PROJECT / copy_file.name
        settings = self._from_tree(yaml.safe_load(source.read_text()) if source.exists() else {})
        kept_file = self._kept / f"{stack}.yaml"
        if kept_file.exists():
            kept = yaml.safe_load(kept_file.read_text())
            settings.setdefault("config", {}).update(kept.pop("config", {}))
            for key in kept.pop("removed", []):
                settings["config"].pop(key, None)
            settings.update(kept)
        copy_file.touch(mode=0o600)
        copy_file.write_text(yaml.safe_dump(settings, sort_keys=False))

    def _load(self, stack: str) -> tuple[dict[str, Any], dict[str, Any]]:
        files = (self.folder / f"Pulumi.{stack}.yaml", PROJECT / f"Pulumi.{stack}.yaml")
        copy, source = (
            (yaml.safe_load(file.read_text()) or {}) if file.exists() else {} for file in files
        )
        return copy, source

    def _from_tree(self, source: dict[str, Any] | None) -> dict[str, Any]:
        settings = {
            key: value for key, value in (source or {}).items() if key not in _ENCRYPTION_KEYS
        }
        settings["config"] = {
            key: _without_secrets(value) for key, value in (settings.get("config") or {}).items()
        }
        return settings


def _without_secrets(value: Any) -> Any:
    """`value` with each `secure:` part, which another backend encrypted, replaced."""
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return SECRET_PLACEHOLDER
        return {key: _without_secrets(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_secrets(part) for part in value]
    return value


def _is_stack_file(entry: Path) -> bool:
    parts = entry.name.split(".")
    return len(parts) == 3 and parts[0] == "Pulumi" and parts[2] == "yaml"


if __name__ == "__main__":
    sys.exit(main())
