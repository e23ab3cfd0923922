"""How two versions of a resource's inputs differ, in the form that the engine expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pulumi.runtime.proto import provider_pb2


def find_differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The paths at which two plain values differ, each with add, delete or update."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from find_differences(
                old.get(key), new.get(key), f"{path}.{key}" if path else key
            )
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from find_differences(_item(old, index), _item(new, index), f"{path}[{index}]")
    elif old != new:
        yield path, "ADD" if old is None else "DELETE" if new is None else "UPDATE"


def _item(values: Sequence[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def diff_response(
    differing: Iterable[tuple[str, str]], replaces: Callable[[str], bool]
) -> provider_pb2.DiffResponse:
    """The engine's answer for `differing`; `replaces` says whether a property replaces."""
    detailed, changed, replacing = {}, set(), set()
    for path, how in differing:
        name = path.partition(".")[0].partition("[")[0]
        changed.add(name)
        if replaces(name):
            replacing.add(name)
        detailed[path] = provider_pb2.PropertyDiff(
            kind=provider_pb2.PropertyDiff.Kind.Value(
                f"{how}_REPLACE" if name in replacing else how
            ),
            inputDiff=True,
        )
    some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=some if changed else none,
        diffs=sorted(changed),
        replaces=sorted(replacing),
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )
