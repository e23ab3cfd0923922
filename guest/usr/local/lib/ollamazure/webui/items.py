"""The items that the settings declare: how each is found, created, changed and removed.

The key identifies an item (a user's e-mail address, a group's name), so an item that was created by
hand is adopted. `wanted` is the declared item and `present` the existing one, both in the terms of
the declaration. `drift` reports the differences between them and `apply` fixes them; nothing else
changes.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from webui.client import WebuiSession, say
from webui.errors import WebuiError

DECLARED = Path("/etc/ollamazure/declared")
# The ends of names whose values are secret.
SECRET = ("_key", "_keys", "_token", "password", "secret")
SHOWN = 60  # characters of a value that fit in a line

Item = dict[str, Any]


class ItemKind(Protocol):
    """One kind of item. `wanted` is None if it must not exist, `present` if it does not exist."""

    def key(self, declared: Item) -> str: ...
    def wanted(self, declared: Item) -> Item | None: ...
    def present(self, webui: WebuiSession, declared: Item) -> Item | None: ...
    def set(self, webui: WebuiSession, declared: Item, present: Item | None) -> None: ...
    def remove(self, webui: WebuiSession, key: str) -> None: ...


def apply(webui: WebuiSession, kind: ItemKind, path: Path) -> None:
    """Sets up the item as the file `path` declares it.

    Raises:
        WebuiError: Open WebUI or this machine refuses it; the message has the item's name.
    """
    declared, name = json.loads(path.read_text()), name_of(path)
    with name_in_errors(name), webui.unexpected_shape_as_error():
        wanted, present = kind.wanted(declared), kind.present(webui, declared)
        found = differences(present, wanted)
        if not found:
            say(f"{name} is as declared.")
            return
        kind.set(webui, declared, present)
        left = differences(kind.present(webui, declared), wanted)
        if left:
            raise WebuiError(f"Open WebUI accepted the declaration, but {'; '.join(left)}.")
    say(f"{name}: {'; '.join(found)}. Now as declared.")


def remove(webui: WebuiSession, kind: ItemKind, folder: str, key: str) -> None:
    """Removes the item with its declaration; it may be missing already."""
    with name_in_errors(f"{folder} {key}"), webui.unexpected_shape_as_error():
        kind.remove(webui, key)
    for path in declared_files(folder):
        if kind.key(json.loads(path.read_text())) == key:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # the documents of a base
            path.unlink()
    say(f"{folder} {key} is removed.")


def remove_undeclared(webui: WebuiSession, kinds: Mapping[str, ItemKind], former: Path) -> None:
    """Removes the items that the folder `former` declares and this machine does not.

    After a restore they exist again; what refers to others goes first.
    """
    for folder, kind in reversed([*kinds.items()]):
        declared = {kind.key(json.loads(path.read_text())) for path in declared_files(folder)}
        for path in sorted((former / folder).glob("*.json")):
            key = kind.key(json.loads(path.read_text()))
            if key not in declared:
                remove(webui, kind, folder, key)


def drift(webui: WebuiSession, kinds: Mapping[str, ItemKind]) -> list[dict[str, str]]:
    """What differs from the declared items; changes nothing."""
    found = []
    for folder, kind in kinds.items():
        for path in declared_files(folder):
            declared, name = json.loads(path.read_text()), name_of(path)
            with name_in_errors(name), webui.unexpected_shape_as_error():
                different = differences(kind.present(webui, declared), kind.wanted(declared))
            found += [{"resource": name, "what": what} for what in different]
    return found


def name_of(path: Path) -> str:
    """The name of the Pulumi resource that declares it: for KIND/SLUG.json it is KIND-SLUG."""
    return f"{path.parent.name}-{path.stem}"


def declared_files(folder: str) -> list[Path]:
    return sorted((DECLARED / folder).glob("*.json"))


@contextmanager
def name_in_errors(name: str) -> Iterator[None]:
    """Puts the item's name at the start of error messages."""
    try:
        yield
    except WebuiError as problem:
        raise WebuiError(f"{name}: {problem}") from problem


def differences(present: Item | None, wanted: Item | None) -> list[str]:
    """The differences in words: "role is admin, declared user"."""
    if wanted is None:
        return [] if present is None else ["it exists, declared deleted"]
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
    both = in_words(present), in_words(wanted)
    if field.endswith(SECRET) or max(map(len, both)) > SHOWN:
        return [f"{field} differs from the declaration"]
    return [f"{field} is {both[0]}, declared {both[1]}"]


def in_words(value: Any) -> str:
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def only(name: str, found: list[Item]) -> Item | None:
    """The item of this name, or None. Open WebUI allows several items with the same name."""
    if len(found) > 1:
        ids = ", ".join(sorted(item["id"] for item in found))
        raise WebuiError(f"{len(found)} items have the name {name} ({ids}); rename all but one.")
    return found[0] if found else None
