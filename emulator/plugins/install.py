"""Puts the plugins that the program needs into an instance's PULUMI_HOME.

azure-native is the emulator's own unless the official one is requested, and so is command in plan
mode, where nothing may run. For the rest the official plugin is used if it is on PATH with the
version that the program needs, beside the Pulumi CLI or in the user's own Pulumi folder, or if it
can be downloaded; a download that failed is tried again after a day. Otherwise a stand-in of
`emulator/offline` is used, if that folder is there.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from emulator.instance import Instance, cache_folder, in_plan_mode

# Earlier versions wrote a longer line that starts like this; it must be found, too.
_MARK = "# A stand-in of the emulated Azure"
_DOWNLOAD_TIMEOUT = 60
_DAY = 24 * 60 * 60
_OFFLINE = "emulator.offline"
_RESOURCE_PLUGINS = ("command", "tls", "random")


class MissingPluginError(Exception):
    """No official plugin was found and there is no stand-in; the message says what to install."""


@dataclass(frozen=True)
class Plugin:
    """A plugin by kind (resource, language), name and the version that the program's SDK needs."""

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
    def stand_in(self) -> str | None:
        """The module that stands in for the official plugin; None if there is none."""
        module = f"{_OFFLINE}.{'language_' if self.kind == 'language' else ''}{self.name}"
        try:
            return module if find_spec(module) else None
        except ModuleNotFoundError:
            return None


@dataclass(frozen=True)
class Official:
    """An official plugin on this machine, if there is one; why another one on PATH is not it."""

    executable: Path | None
    refused: str = ""


@dataclass(frozen=True)
class PluginChoice:
    """Which executable answers for a plugin, and why; `refused` says why one on PATH does not."""

    plugin: Plugin
    official: bool
    reason: str
    refused: str = ""

    def __str__(self) -> str:
        source = "official" if self.official else "stand-in"
        return f"{self.plugin.name} {self.plugin.version}: {source} ({self.reason})"


def install(
    instance: Instance,
    pulumi_cli: Path,
    *,
    official: bool = True,
    official_azure: bool = False,
    plan: bool | None = None,
) -> list[PluginChoice]:
    """Install every plugin and return what was chosen. Quick when nothing is left to do.

    `pulumi_cli` is the executable that will run with `instance.pulumi_home` as its PULUMI_HOME.
    Without `official`, a stand-in is used wherever there is one. `official_azure` asks for the
    official azure-native, which must be led to the emulated Azure. `plan` says whether the instance
    is used in plan mode; the default is what the environment says.

    Raises MissingPluginError.
    """
    plan = in_plan_mode() if plan is None else plan
    needed = [
        Plugin("resource", "azure-native", version("pulumi-azure-native")),
        *(Plugin("resource", each, version(f"pulumi-{each}")) for each in _RESOURCE_PLUGINS),
        Plugin("language", "python", version("pulumi")),
    ]
    own: dict[Plugin, tuple[str, str]] = {}
    for plugin in needed:
        if plugin.name == "azure-native" and official_azure:
            _remove_own(_place(instance, plugin))  # else Pulumi takes it for a downloaded one
        elif plugin.name == "azure-native":
            own[plugin] = ("emulator.plugins.azure_native", "Azure on this machine")
        elif plan and plugin.name == "command":
            own[plugin] = ("emulator.plugins.recorder", "plan mode runs nothing")
        elif plugin.stand_in and not official:
            own[plugin] = (plugin.stand_in, "stand-ins were requested")
    written = [
        _write_own(instance, plugin, module, reason) for plugin, (module, reason) in own.items()
    ]
    official_ones = {
        plugin: _find_official(instance, plugin) for plugin in needed if plugin not in own
    }
    lacking = [plugin for plugin, found in official_ones.items() if not found.executable]
    _try_downloads(instance, pulumi_cli, [one for one in lacking if one.kind == "resource"])
    choices = {
        plugin: _choose(instance, pulumi_cli, plugin, found)
        for plugin, found in official_ones.items()
    }
    if missing := [plugin for plugin, choice in choices.items() if choice is None]:
        raise MissingPluginError(
            _explain_missing({plugin: official_ones[plugin] for plugin in missing})
        )
    return written + [choice for choice in choices.values() if choice]


def emulated_azure_answers(instance: Instance) -> bool:
    """Whether the only azure-native that the engine can find is the emulator's."""
    plugins = instance.pulumi_home / "plugins"
    found = list(plugins.glob("resource-azure-native-v*/pulumi-resource-azure-native"))
    return len(found) == 1 and _is_our_own(found[0])


def _choose(
    instance: Instance, pulumi_cli: Path, plugin: Plugin, found: Official
) -> PluginChoice | None:
    """Make the engine find the plugin; returns None when neither kind of it can be had."""
    executable = _place(instance, plugin)
    if (pulumi_cli.resolve().parent / plugin.executable).exists():
        return PluginChoice(plugin, True, f"beside {pulumi_cli}", found.refused)
    if found.executable:
        _link(found.executable, executable)
        return PluginChoice(plugin, True, f"found at {found.executable}", found.refused)
    if executable.is_symlink():
        executable.unlink()  # to one that is gone, or is another version now
    if _is_our_own(executable) and _aside(executable).exists():
        _aside(executable).replace(executable)
    if not _is_our_own(executable):
        if executable.exists():
            return PluginChoice(plugin, True, "downloaded", found.refused)
        shutil.rmtree(executable.parent, ignore_errors=True)
    if plugin.stand_in is None:
        shutil.rmtree(executable.parent, ignore_errors=True)
        return None
    reason = (
        "the official one is neither on PATH nor beside the CLI"
        if plugin.kind == "language"
        else "the official one cannot be downloaded here"
    )
    return replace(_write_own(instance, plugin, plugin.stand_in, reason), refused=found.refused)


def _explain_missing(missing: Mapping[Plugin, Official]) -> str:
    lines = ["Pulumi needs plugins that are neither installed here nor can be downloaded:"]
    for plugin, found in missing.items():
        lines.append(
            f"  {plugin.executable} {plugin.version}: it comes with Pulumi; put it on PATH"
            if plugin.kind == "language"
            else f"  {plugin.executable} {plugin.version}: put it on PATH, or run"
            f" `pulumi plugin install resource {plugin.name} {plugin.version}`"
        )
        if found.refused:
            lines.append(f"    {found.refused}")
    return "\n".join(lines)


def _place(instance: Instance, plugin: Plugin) -> Path:
    """Where the engine looks for a plugin's executable."""
    return instance.pulumi_home / "plugins" / plugin.folder / plugin.executable


def _find_official(instance: Instance, plugin: Plugin) -> Official:
    """The official plugin if this machine already has it: on PATH, or in the user's own folder."""
    refused = ""
    if name := shutil.which(plugin.executable):
        on_path = Path(name)
        if _is_linked(on_path, _place(instance, plugin)):
            return Official(on_path)
        from emulator.plugins.versions import version_of  # noqa: PLC0415  slow to import

        found = version_of(on_path, plugin.kind)
        if found == plugin.version:
            return Official(on_path)
        refused = (
            f"{on_path} is not used: it is {found or 'no version that it reports'}, and the "
            f"program needs {plugin.version}"
        )
    kept = Path.home() / ".pulumi" / "plugins" / plugin.folder / plugin.executable
    return Official(kept if os.access(kept, os.X_OK) else None, refused)


def _is_linked(executable: Path, place: Path) -> bool:
    """Whether an earlier run has linked it, as it is now: then its version was right."""
    linked = place.is_symlink() and place.readlink() == executable
    return linked and place.lstat().st_mtime >= executable.stat().st_mtime


def _link(official: Path, place: Path) -> None:
    """Make `place` a link to the official executable; replace what is there."""
    if place.is_symlink() and place.readlink() == official:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(official)


def _try_downloads(instance: Instance, pulumi_cli: Path, plugins: list[Plugin]) -> None:
    """Let the CLI download these plugins, except those that failed for this user within a day."""
    noted = cache_folder() / "plugins-not-downloaded.json"
    failed: dict[str, float] = json.loads(noted.read_text()) if noted.exists() else {}
    wanted = [
        plugin
        for plugin in plugins
        if time.time() - failed.get(plugin.folder, 0) > _DAY
        and not _is_downloaded(instance, plugin)
    ]
    if not wanted:
        return
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda plugin: _download(instance, pulumi_cli, plugin), wanted))
    missing = [plugin.folder for plugin in wanted if not _is_downloaded(instance, plugin)]
    noted.parent.mkdir(parents=True, exist_ok=True)
    fresh = noted.with_name(f"{noted.name}.{os.getpid()}")
    fresh.write_text(json.dumps(failed | dict.fromkeys(missing, time.time())))
    fresh.replace(noted)


def _is_downloaded(instance: Instance, plugin: Plugin) -> bool:
    """Whether the official plugin is there, or waits beside the recorder of plan mode."""
    executable = _place(instance, plugin)
    official = executable.is_file() and not executable.is_symlink() and not _is_our_own(executable)
    return official or _aside(executable).exists()


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
        # Pulumi would take the rest of a broken download for an installed plugin.
        for left in (instance.pulumi_home / "plugins").glob(f"{plugin.folder}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _write_own(instance: Instance, plugin: Plugin, module: str, reason: str) -> PluginChoice:
    """Write an executable that starts one of our modules, with this Python, from this project."""
    start = f"from emulator.plugins.start import start; start({module!r})"
    script = "\n".join(
        ("#!/bin/sh", _MARK, f'exec {shlex.join([sys.executable, "-P", "-c", start])} "$@"', "")
    )
    executable = _place(instance, plugin)
    if not _is_our_own(executable) or executable.read_text() != script:
        if executable.exists() and not executable.is_symlink() and not _is_our_own(executable):
            executable.replace(_aside(executable))
        executable.parent.mkdir(parents=True, exist_ok=True)
        fresh = executable.with_name(f".{executable.name}.{os.getpid()}")
        fresh.write_text(script)
        fresh.chmod(0o755)
        fresh.replace(executable)
    return PluginChoice(plugin, False, reason)


def _remove_own(executable: Path) -> None:
    if _is_our_own(executable) and not _aside(executable).exists():
        shutil.rmtree(executable.parent)


def _aside(executable: Path) -> Path:
    """Where a downloaded plugin waits while plan mode's recorder is in its place."""
    return executable.with_name(f"{executable.name}.official")


def _is_our_own(executable: Path) -> bool:
    if executable.is_symlink() or not executable.exists():
        return False
    with executable.open("rb") as file:
        return _MARK.encode() in file.read(200)


if __name__ == "__main__":
    for choice in install(Instance.open(), Path(sys.argv[1])):
        print(choice)
