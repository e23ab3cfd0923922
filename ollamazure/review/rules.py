"""The table of what changes mean (rules.yaml), typed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

Effect = Literal["none", "seconds", "unknown", "minutes", "data"]
Action = Literal["added", "changed", "replaced", "removed"]
Layer = Literal["cloud", "machine", "application", "check", "none"]
# How the table writes "any".
ANY = "*"

_TABLE = Path(__file__).with_name("rules.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """What one way of changing a resource means; the fields are explained in rules.yaml."""

    when: Action | Literal["*"]
    of: str = ANY
    reads: str | None = None
    effect: Effect
    means: str = ""
    explain: str | None = None
    again: bool = False
    why: str

    def fits(self, action: Action, aspect: str) -> bool:
        """Whether it is about this action and this part of a resource."""
        return self.when in (ANY, action) and fnmatchcase(aspect, self.of)


class Resource(_Strict):
    """A kind of resource, as readers call it."""

    match: str
    layer: Layer
    title: str
    plural: str | None = None
    item: str | None = None
    changes: tuple[Rule, ...]


class EffectWords(_Strict):
    """What an effect is called."""

    short: str
    headline: str


class Table(_Strict):
    """The whole table."""

    effects: Mapping[Effect, EffectWords]
    operations: Mapping[str, Action | None]
    always: tuple[Rule, ...]
    resources: tuple[Resource, ...]

    def resource(self, type_: str, name: str) -> Resource:
        """The first entry that fits; the last one fits everything."""
        key = f"{type_}::{name}"
        return next(entry for entry in self.resources if fnmatchcase(key, entry.match))

    def rank(self, effect: Effect) -> int:
        """How bad an effect is: its place in the table."""
        return list(self.effects).index(effect)

    def worst(self, effects: Sequence[Effect]) -> Effect:
        """The worst of some effects; none when there are none."""
        return max(effects, key=self.rank, default="none")


@functools.cache
def table() -> Table:
    """The table as it lies in rules.yaml."""
    return Table.model_validate(yaml.safe_load(_TABLE.read_text(encoding="utf-8")))
