"""Puts the plugins that the program needs into an instance's PULUMI_HOME.

azure-native is always the emulator's own. For the rest the official plugin is used where it is
on PATH, beside the Pulumi CLI, in the user's own Pulumi folder, or can be downloaded; a stand-in
takes over where none of these holds. A download is tried once for an instance.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from emulator.instance import Instance

# Earlier versions wrote a longer line that starts like this; it must be found, too.
_MARK = "# A stand-in of the emulated Azure"
_DOWNLOAD_TIMEOUT = 60


@dataclass(frozen=True)
class Plugin:
    """A plugin by kind (resource, language), name and the version that the program's SDK wants."""

    kind: str
    name: str
    version: str

    @property
    def executable(self) -> str:
        return f"pulumi-{self.kind}-{self.name}"

    @property
    def folder(self) -> str:
        return f"{self.kind}-{self.name}-v{self.version}"

    @property
    def module(self) -> str:
        """The module that answers for it where the official one does not."""
        if self.name == "azure-native":
            return "emulator.plugins.azure_native"
        return f"emulator.offline.{'language_' if self.kind == 'language' else ''}{self.name}"


@dataclass(frozen=True)
class Choice:
    """What answers for a plugin, and why."""

    plugin: Plugin
    official: bool
    reason: str

    def __str__(self) -> str:
        who = "official" if self.official else "stand-in"
        return f"{self.plugin.name} {self.plugin.version}: {who} ({self.reason})"


def install(instance: Instance, pulumi_cli: Path, official: bool = True) -> list[Choice]:
    """Install every plugin and say what was chosen; idempotent, and quick when nothing is to do.

    `pulumi_cli` is the executable that will run with `instance.pulumi_home` as its PULUMI_HOME.
    Without `official` the stand-ins are taken even where the official plugins can be had.
    """
    needed = [
        *(
            Plugin("resource", name, version(f"pulumi-{name}"))
            for name in ("command", "tls", "random")
        ),
        Plugin("language", "python", version("pulumi")),
    ]
    azure = Plugin("resource", "azure-native", version("pulumi-azure-native"))
    chosen = [_stand_in(instance, azure, "Azure on this machine")]
    if not official:
        return chosen + [_stand_in(instance, plugin, "asked for") for plugin in needed]
    _try_downloads(instance, pulumi_cli, [plugin for plugin in needed if plugin.kind == "resource"])
    return chosen + [_choose(instance, pulumi_cli, plugin) for plugin in needed]


def emulated_azure_answers(instance: Instance) -> bool:
    """Whether the only azure-native the engine can find is the emulator's, of this instance."""
    plugins = instance.pulumi_home / "plugins"
    found = list(plugins.glob("resource-azure-native-v*/pulumi-resource-azure-native"))
    if len(found) != 1:
        return False
    asked = subprocess.run(
        [found[0], "--emulator"],
        env=os.environ | {"OLLAMAZURE_EMULATOR": str(instance.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() == str(instance.home)


def _choose(instance: Instance, pulumi_cli: Path, plugin: Plugin) -> Choice:
    installed = instance.pulumi_home / "plugins" / plugin.folder
    if (pulumi_cli.resolve().parent / plugin.executable).exists():
        return Choice(plugin, True, f"beside {pulumi_cli}")
    if found := _official(plugin):
        _link(found, installed / plugin.executable)
        return Choice(plugin, True, f"found at {found}")
    if not _is_stand_in(installed / plugin.executable):
        if (installed / plugin.executable).exists():
            return Choice(plugin, True, "downloaded")
        shutil.rmtree(installed, ignore_errors=True)
    if plugin.kind == "language":
        return _stand_in(instance, plugin, "the official one is neither on PATH nor beside the CLI")
    return _stand_in(instance, plugin, "the official one cannot be downloaded here")


def _official(plugin: Plugin) -> Path | None:
    """The official plugin where it is on this machine already: on PATH, or kept for the user."""
    if on_path := shutil.which(plugin.executable):
        return Path(on_path)
    kept = Path.home() / ".pulumi" / "plugins" / plugin.folder / plugin.executable
    return kept if os.access(kept, os.X_OK) else None


def _link(official: Path, place: Path) -> None:
    """Make `place` a link to the official executable, whatever stood there."""
    if place.is_symlink() and place.readlink() == official:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(official)


def _try_downloads(instance: Instance, pulumi_cli: Path, plugins: list[Plugin]) -> None:
    """Let the CLI download what is not here, once for each version in the life of an instance."""
    noted = instance.home / "plugins-tried.json"
    tried: list[str] = json.loads(noted.read_text()) if noted.exists() else []
    wanted = [plugin for plugin in plugins if plugin.folder not in tried and not _official(plugin)]
    if not wanted:
        return
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda plugin: _download(instance, pulumi_cli, plugin), wanted))
    fresh = noted.with_name(f"{noted.name}.{os.getpid()}")
    fresh.write_text(json.dumps([*tried, *(plugin.folder for plugin in wanted)]))
    fresh.replace(noted)


def _download(instance: Instance, pulumi_cli: Path, plugin: Plugin) -> None:
    command = [str(pulumi_cli), "plugin", "install", plugin.kind, plugin.name, plugin.version]
    environment = os.environ | {
        "PULUMI_HOME": str(instance.pulumi_home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    try:
        subprocess.run(
            command, env=environment, capture_output=True, timeout=_DOWNLOAD_TIMEOUT, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        # What a download leaves half done would pass for an installed plugin.
        for left in (instance.pulumi_home / "plugins").glob(f"{plugin.folder}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _stand_in(instance: Instance, plugin: Plugin, reason: str) -> Choice:
    """Write the executable that starts our module, with this Python, from this project."""
    start = f"from emulator.plugins.start import start; start({plugin.module!r})"
    script = "\n".join(
        ("#!/bin/sh", _MARK, f'exec {shlex.join([sys.executable, "-P", "-c", start])} "$@"', "")
    )
    executable = instance.pulumi_home / "plugins" / plugin.folder / plugin.executable
    if not _is_stand_in(executable) or executable.read_text() != script:
        executable.parent.mkdir(parents=True, exist_ok=True)
        fresh = executable.with_name(f".{executable.name}.{os.getpid()}")
        fresh.write_text(script)
        fresh.chmod(0o755)
        fresh.replace(executable)
    return Choice(plugin, False, reason)


def _is_stand_in(executable: Path) -> bool:
    if executable.is_symlink() or not executable.exists():
        return False
    with executable.open("rb") as file:
        return _MARK.encode() in file.read(200)


if __name__ == "__main__":
    for choice in install(Instance.open(), Path(sys.argv[1])):
        print(choice)
