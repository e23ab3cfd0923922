"""The team file: a file with the longer lists of a stack's settings, such as users and prompts.

It has the same keys as the stack file, and its lists are appended to those of the stack file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ollamazure.settings.problems import (
    NAMESPACE,
    FileLocation,
    Problem,
    command,
    did_you_mean,
    remove,
    shown,
)
from ollamazure.settings.schema import SettingPath

PROJECT = Path(__file__).resolve().parents[2]
KEY = "teamFile"
KEYS = (
    *("users", "groups", "presets", "prompts", "knowledge", "banners", "suggestions"),
    "modelAccess",
)


def within_project(path: str) -> Path | None:
    """The file or folder at a path relative to the project's folder; None if it is outside."""
    if "\0" in path:  # no file has such a name
        return None
    found = (PROJECT / path).resolve()
    return found if found.is_relative_to(PROJECT) else None


@dataclass(frozen=True)
class TeamFile:
    """The values of the file, and their lines.

    Attributes:
        name: the value of the setting.
        values: by key; only those of KEYS.
        stack_values: the stack file's values by key, which come before these.
        root: the file as YAML's own tree, which knows the lines.
    """

    name: str
    values: Mapping[str, Any]
    stack_values: Mapping[str, Any]
    root: yaml.Node | None

    def locate(self, path: SettingPath) -> FileLocation | None:
        """The location of a value in this file; None if the value is in the stack file."""
        key, *rest = path
        own, first = self.values.get(str(key)), self.stack_values.get(str(key))
        if own is None:
            return None
        if isinstance(own, list) and isinstance(first, list):
            if not rest or not isinstance(rest[0], int) or rest[0] < len(first):
                return None
            rest[0] -= len(first)
        elif isinstance(own, dict) and isinstance(first, dict):
            if not rest or rest[0] not in own:
                return None
        elif first is not None:
            return None
        return self.location_of((key, *rest))

    def location_of(self, path: SettingPath) -> FileLocation:
        """The location of a path in this file, with the line of the nearest part that exists."""
        node = line = self.root
        for step in path:
            node = _child(node, step)
            if node is None:
                break
            line = node
        return FileLocation(self.name, line.start_mark.line + 1 if line else 1, path)

    def merge(self) -> dict[str, Any]:
        """The values of both files: the lists of this one follow those of the stack file."""
        together = dict(self.stack_values)
        for key, value in self.values.items():
            first = self.stack_values.get(key)
            if isinstance(first, list) and isinstance(value, list):
                together[key] = [*first, *value]
            elif isinstance(first, dict) and isinstance(value, dict):
                together[key] = {**value, **first}
            elif first is None:
                together[key] = value
        return together


def read(name: str, stack_values: Mapping[str, Any]) -> tuple[TeamFile | None, list[Problem]]:
    """The file, and its own problems: it is missing or no YAML, or has a key of the stack file.

    Args:
        name: path relative to the project's folder.
        stack_values: the stack file's values by key.
    """
    path = within_project(name)
    if path is None or not path.is_file():
        reason = "there is no such file" if path else "it is outside the project"
        return None, [_unusable(name, reason)]
    try:
        text = path.read_text(encoding="utf-8")
        values = _with_text_keys(yaml.safe_load(text))
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return None, [_unusable(name, f"it is not YAML ({' '.join(str(error).split())})")]
    if values is not None and not isinstance(values, dict):
        return None, [_unusable(name, "it is not a group of settings")]
    known = {key: value for key, value in (values or {}).items() if key in KEYS}
    file = TeamFile(name, known, stack_values, root)
    unknown = [str(key) for key in values or {} if key not in KEYS]
    problems = [_unknown(file.location_of((key,)), key) for key in unknown]
    repeated = [
        _repeated(file.location_of((key, inner)))
        for key in known
        if isinstance(known[key], dict) and isinstance(stack_values.get(key), dict)
        for inner in known[key]
        if inner in stack_values[key]
    ]
    return file, problems + repeated


def _with_text_keys(value: Any) -> Any:
    """The value with all names as text, as in JSON: YAML also has numbers and true as names."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(inner) for key, inner in value.items()}
    return [*map(_with_text_keys, value)] if isinstance(value, list) else value


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    return None


def _unusable(name: str, reason: str) -> Problem:
    return Problem(
        f"{NAMESPACE}:{KEY}",
        f"= {shown(name, False)} is not allowed: {reason}.",
        "a YAML file within the project, relative to its folder; for example team.yaml",
        f"{command((KEY,), 'team.yaml')} with the name of your file, or {remove((KEY,))}",
    )


def _unknown(location: FileLocation, key: str) -> Problem:
    near = did_you_mean(key, KEYS)
    return Problem(
        str(location),
        "cannot be in this file." + (f" Did you mean {near}?" if near else ""),
        ", ".join(KEYS),
        f"in {location.where}, "
        + (f"write {near}" if near else "remove it; other settings belong in the stack file"),
    )


def _repeated(location: FileLocation) -> Problem:
    return Problem(
        str(location),
        "is in the stack file as well.",
        "each model once",
        f"in {location.where}, remove it, or {remove(location.path)}",
    )
