"""The project as Pulumi sees it, in a folder of the instance: the repository never changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from emulator.artifacts import paths, pins
from emulator.artifacts.oci import digest_of
from emulator.host.places import replace_text
from emulator.instance import PROJECT, Instance, in_plan_mode

# Another backend encrypted with its own keys; this one cannot use them.
_ENCRYPTION_KEYS = ("secretsprovider", "encryptedkey", "encryptionsalt")
SECRET_PLACEHOLDER = "placeholder-for-a-secret"  # noqa: S105
_VERSIONS_OF_IMAGES = {
    "ollamazure:webuiVersion": pins.CATALOG["open-webui"],
    "ollamazure:nginxVersion": pins.CATALOG["nginx"],
}


class ScratchProject:
    """Links to the files of the repository, and copies of its stack files."""

    def __init__(self, instance: Instance) -> None:
        self.folder = instance.home / "project"
        self._kept = instance.home / "settings"

    def stacks(self) -> list[str]:
        """The stacks that the repository has files for."""
        return sorted(
            file.name.removeprefix("Pulumi.").removesuffix(".yaml")
            for file in PROJECT.glob("Pulumi.*.yaml")
        )

    def lay_out(self) -> None:
        """Bring the links and copies up to date with the repository."""
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
            # Another clone may have used this instance before, to compare a change with.
            if link.is_symlink() and link.readlink() != entry:
                link.unlink()
            if not link.is_symlink():
                link.symlink_to(entry)
        for stack in {*self.stacks(), *(file.stem for file in self._kept.glob("*.yaml"))}:
            self._copy(stack)

    def keep_settings(self, stack: str) -> None:
        """Keep what a command such as `pulumi-local config set` wrote into the copy."""
        copy, source = self._load(stack)
        original = self._readable_settings(source)
        before, after = _with_digests(original["config"]), copy.get("config", {})
        kept: dict[str, Any] = {
            # The CLI writes numbers as text; that is not a change.
            "config": {
                key: value for key, value in after.items() if str(before.get(key)) != str(value)
            },
            "removed": [key for key in before if key not in after],
            **{key: copy[key] for key in _ENCRYPTION_KEYS if key in copy},
        }
        replace_text(self._kept / f"{stack}.yaml", yaml.safe_dump(kept))

    def forget_settings(self) -> None:
        """Delete the kept settings of stacks that `pulumi stack rm` has removed."""
        for kept in self._kept.glob("*.yaml"):
            if not (self.folder / f"Pulumi.{kept.name}").exists():
                kept.unlink()

    def unreadable_secrets(self, stack: str) -> list[str]:
        """Paths of the settings that are secret in the repository and have no value here yet."""
        copy, _ = self._load(stack)
        return [
            f"{key}{path}"
            for key, value in copy.get("config", {}).items()
            for path in _placeholders(value)
        ]

    def _copy(self, stack: str) -> None:
        copy_file = self.folder / f"Pulumi.{stack}.yaml"
        source = PROJECT / copy_file.name
        settings = self._readable_settings(
            yaml.safe_load(source.read_text()) if source.exists() else {}
        )
        kept_file = self._kept / f"{stack}.yaml"
        if kept_file.exists():
            kept = yaml.safe_load(kept_file.read_text())
            settings.setdefault("config", {}).update(kept.pop("config", {}))
            for key in kept.pop("removed", []):
                settings["config"].pop(key, None)
            settings.update(kept)
        settings["config"] = _with_digests(settings["config"])
        replace_text(copy_file, yaml.safe_dump(settings, sort_keys=False))

    def _load(self, stack: str) -> tuple[dict[str, Any], dict[str, Any]]:
        files = (self.folder / f"Pulumi.{stack}.yaml", PROJECT / f"Pulumi.{stack}.yaml")
        copy, source = (
            (yaml.safe_load(file.read_text()) or {}) if file.exists() else {} for file in files
        )
        return copy, source

    def _readable_settings(self, source: dict[str, Any] | None) -> dict[str, Any]:
        settings = {
            key: value for key, value in (source or {}).items() if key not in _ENCRYPTION_KEYS
        }
        settings["config"] = {
            key: _without_secrets(value) for key, value in (settings.get("config") or {}).items()
        }
        return settings


def _with_digests(config: dict[str, Any]) -> dict[str, Any]:
    """`config` with the digests of this machine's images, which are not those of the catalog.

    In plan mode no image is pulled, and previews are the same whatever was built here.
    """
    pinned = dict(config)
    for key, pin in {} if in_plan_mode() else _VERSIONS_OF_IMAGES.items():
        tag = str(config.get(key, pin["tag"]))
        manifest = paths.manifest(pin["repository"], tag)
        if manifest.exists():
            pinned[key] = f"{tag}@{digest_of(manifest.read_bytes())}"
    return pinned


def _without_secrets(value: Any) -> Any:
    """`value` with each `secure:` part, which another backend encrypted, replaced."""
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return SECRET_PLACEHOLDER
        return {key: _without_secrets(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_secrets(part) for part in value]
    return value


def _placeholders(value: Any) -> Iterator[str]:
    """Paths within `value` of the placeholders in plain text."""
    if value == SECRET_PLACEHOLDER:
        yield ""
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from (f".{key}{path}" for path in _placeholders(part))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from (f"[{index}]{path}" for path in _placeholders(part))


def _is_stack_file(entry: Path) -> bool:
    return entry.match("Pulumi.*.yaml")
