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
# Stands for "any" in the table.
ANY = "*"

_FILE = Path(__file__).with_name("rules.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReviewRule(_Strict):
    """What one kind of change of a resource means; rules.yaml explains the fields."""

    when: Action | Literal["*"]
    of: str = ANY
    reads: str | None = None
    effect: Effect
    means: str = ""
    explain: str | None = None
    rerun: bool = False
    why: str

    def matches(self, action: Action, aspect: str) -> bool:
        """Whether the rule is about this action and this part of a resource."""
        return self.when in (ANY, action) and fnmatchcase(aspect, self.of)


class ReviewedResource(_Strict):
    """A kind of resource, with its name for readers."""

    match: str
    layer: Layer
    title: str
    plural: str | None = None
    item: str | None = None
    changes: tuple[ReviewRule, ...]


class EffectWords(_Strict):
    """The words for an effect."""

    short: str
    headline: str


class RuleTable(_Strict):
    """The whole table."""

    effects: Mapping[Effect, EffectWords]
    operations: Mapping[str, Action | None]
    always: tuple[ReviewRule, ...]
    resources: tuple[ReviewedResource, ...]

    def find_resource(self, type_: str, name: str) -> ReviewedResource:
        """The first entry that matches; the last one matches everything."""
        key = f"{type_}::{name}"
        return next(entry for entry in self.resources if fnmatchcase(key, entry.match))

    def rank(self, effect: Effect) -> int:
        """How bad an effect is: its place in the table."""
        return list(self.effects).index(effect)

    def worst(self, effects: Sequence[Effect]) -> Effect:
        """The worst of some effects; `none` if there are none."""
        return max(effects, key=self.rank, default="none")


@functools.cache
def load_table() -> RuleTable:
    """The table in rules.yaml."""
    return RuleTable.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
