"""The file that holds the longer lists of a stack's settings: people, presets, prompts.

It says the same as the stack file would, under the same keys; the lists of both are put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ollamazure.settings.problems import (
    NAMESPACE,
    Place,
    Problem,
    command,
    did_you_mean,
    remove,
    shown,
)

PROJECT = Path(__file__).resolve().parents[2]
KEY = "teamFile"
KEYS = ("users", "groups", "presets", "prompts", "knowledge", "banners", "modelAccess")


def within_project(path: str) -> Path | None:
    """The file or folder that a setting names from the project's folder on; None outside of it."""
    found = (PROJECT / path).resolve()
    return found if found.is_relative_to(PROJECT) else None


@dataclass(frozen=True)
class TeamFile:
    """What the file says, and where.

    Attributes:
        name: as the setting names it.
        values: by key; only those of KEYS.
        given: the stack file's values by key, which come before these.
        root: the file as YAML's own tree, which knows the lines.
    """

    name: str
    values: Mapping[str, Any]
    given: Mapping[str, Any]
    root: yaml.Node | None

    def locate(self, path: tuple[str | int, ...]) -> Place | None:
        """Where a value lies when it comes from this file; None when it is the stack file's."""
        key, *rest = path
        own, first = self.values.get(str(key)), self.given.get(str(key))
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
        return self.place((key, *rest))

    def place(self, path: tuple[str | int, ...]) -> Place:
        """The line of a path, or of the nearest thing around it that is there."""
        node = line = self.root
        for step in path:
            node = _child(node, step)
            if node is None:
                break
            line = node
        return Place(self.name, line.start_mark.line + 1 if line else 1, path)


def read(name: str, given: Mapping[str, Any]) -> tuple[TeamFile | None, list[Problem]]:
    """The file with the problems of its own: not there, no YAML, a key that it does not take.

    Args:
        name: path from the project's folder on.
        given: the stack file's values by key.
    """
    path = within_project(name)
    if path is None or not path.is_file():
        reason = "there is no such file" if path else "it lies outside of the project"
        return None, [_unusable(name, reason)]
    try:
        text = path.read_text(encoding="utf-8")
        values, root = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return None, [_unusable(name, f"it is not YAML ({' '.join(str(error).split())})")]
    if values is not None and not isinstance(values, dict):
        return None, [_unusable(name, "it holds no settings by name")]
    known = {key: value for key, value in (values or {}).items() if key in KEYS}
    file = TeamFile(name, known, given, root)
    unknown = [str(key) for key in values or {} if key not in KEYS]
    problems = [_unknown(file.place((key,)), key) for key in unknown]
    twice = [
        _twice(file.place((key, inner)))
        for key in known
        if isinstance(known[key], dict) and isinstance(given.get(key), dict)
        for inner in known[key]
        if inner in given[key]
    ]
    return file, problems + twice


def merged(given: Mapping[str, Any], file: TeamFile) -> dict[str, Any]:
    """The stack file's values with those of the file: lists one after the other."""
    together = dict(given)
    for key, value in file.values.items():
        present = given.get(key)
        if isinstance(present, list) and isinstance(value, list):
            together[key] = [*present, *value]
        elif isinstance(present, dict) and isinstance(value, dict):
            together[key] = {**value, **present}
        elif present is None:
            together[key] = value
    return together


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        child: yaml.Node = node.value[step]
        return child
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    return None


def _unusable(name: str, reason: str) -> Problem:
    return Problem(
        what=f"{NAMESPACE}:{KEY} = {shown(name, False)} is not allowed: {reason}.",
        allowed="a YAML file within the project, named from the project's folder on; for example "
        "team.yaml",
        fix=f"{command((KEY,), 'team.yaml')} with a file that is there, or {remove((KEY,))}",
    )


def _unknown(place: Place, key: str) -> Problem:
    near = did_you_mean(key, KEYS)
    hint = f" Did you mean {near}?" if near else ""
    return Problem(
        what=f"{place} is not a list that this file can hold.{hint}",
        allowed=", ".join(KEYS),
        fix=f"in {place.where}, "
        + (f"write {near}" if near else "take it away; other settings lie in the stack file"),
    )


def _twice(place: Place) -> Problem:
    return Problem(
        what=f"{place} is in the stack file as well.",
        allowed="each model once",
        fix=f"in {place.where}, take it away, or {remove(place.path)}",
    )
