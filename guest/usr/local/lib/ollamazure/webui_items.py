"""The items that the settings declare: how each is found, made, changed and removed.

An item is known by its key (a user by the e-mail address, a group by its name), so one that was
made by hand is adopted. `wanted` is what is declared and `present` what is there, both in the words
of the declaration: what differs between them is what drift tells and what `apply` sets right.
Nothing else is touched.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from webui_client import OpenWebui, WebuiError, say

DECLARED = Path("/etc/ollamazure/declared")
# Ends of names whose values nobody is to see.
SECRET = ("_key", "_keys", "_token", "password", "secret")
SHOWN = 60  # characters of a value that still read well in a line

Item = dict[str, Any]


class Kind(Protocol):
    """One kind of item. `wanted` and `present` are None for an item that must not be, or is not."""

    def key(self, declared: Item) -> str: ...
    def wanted(self, declared: Item) -> Item | None: ...
    def present(self, webui: OpenWebui, declared: Item) -> Item | None: ...
    def set(self, webui: OpenWebui, declared: Item, present: Item | None) -> None: ...
    def remove(self, webui: OpenWebui, key: str) -> None: ...


def apply(webui: OpenWebui, kind: Kind, path: Path) -> None:
    """Makes the item what the file `path` declares.

    Raises:
        WebuiError: what Open WebUI or this machine refuses, with the item's name.
    """
    declared, name = json.loads(path.read_text()), name_of(path)
    with named(name), webui.understood():
        wanted, present = kind.wanted(declared), kind.present(webui, declared)
        found = differences(present, wanted)
        if not found:
            say(f"{name} is as declared.")
            return
        kind.set(webui, declared, present)
        left = differences(kind.present(webui, declared), wanted)
        if left:
            raise WebuiError(f"Open WebUI took what was declared, and still {'; '.join(left)}.")
    say(f"{name}: {'; '.join(found)}. Now as declared.")


def remove(webui: OpenWebui, kind: Kind, folder: str, key: str) -> None:
    """Removes the item with what declares it; one that is gone already is fine."""
    with named(f"{folder} {key}"), webui.understood():
        kind.remove(webui, key)
    for path in declared_files(folder):
        if kind.key(json.loads(path.read_text())) == key:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # the documents of a base
            path.unlink()
    say(f"{folder} {key} is removed.")


def drift(webui: OpenWebui, kinds: Mapping[str, Kind]) -> list[dict[str, str]]:
    """What of all declared items is otherwise; changes nothing."""
    found = []
    for folder, kind in kinds.items():
        for path in declared_files(folder):
            declared, name = json.loads(path.read_text()), name_of(path)
            with named(name), webui.understood():
                told = differences(kind.present(webui, declared), kind.wanted(declared))
            found += [{"resource": name, "what": what} for what in told]
    return found


def name_of(path: Path) -> str:
    """The Pulumi resource that a file is the declaration of: KIND/SLUG.json is KIND-SLUG."""
    return f"{path.parent.name}-{path.stem}"


def declared_files(folder: str) -> list[Path]:
    return sorted((DECLARED / folder).glob("*.json"))


@contextmanager
def named(name: str) -> Iterator[None]:
    """Puts the item's name before what went wrong with it."""
    try:
        yield
    except WebuiError as problem:
        raise WebuiError(f"{name}: {problem}") from problem


def differences(present: Item | None, wanted: Item | None) -> list[str]:
    """In words, for a person: "role is admin, declared user"."""
    if wanted is None:
        return [] if present is None else ["it is there, declared deleted"]
    if present is None:
        return ["it is missing"]
    fields = [difference(field, present.get(field), value) for field, value in wanted.items()]
    return [*itertools.chain.from_iterable(fields)]


def difference(field: str, present: Any, wanted: Any) -> list[str]:
    if present == wanted:
        return []
    if isinstance(present, dict) and isinstance(wanted, dict):
        fields = [
            difference(f"{field}.{name}", present.get(name), wanted.get(name))
            for name in sorted({*present, *wanted})
        ]
        return [*itertools.chain.from_iterable(fields)]
    both = shown(present), shown(wanted)
    if field.endswith(SECRET) or max(map(len, both)) > SHOWN:
        return [f"{field} is not what is declared"]
    return [f"{field} is {both[0]}, declared {both[1]}"]


def shown(value: Any) -> str:
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def only(name: str, found: list[Item]) -> Item | None:
    """Open WebUI lets several have one name, and nobody could tell which is meant."""
    if len(found) > 1:
        ids = ", ".join(sorted(item["id"] for item in found))
        raise WebuiError(f"{len(found)} have the name {name} ({ids}); rename all but one.")
    return found[0] if found else None
