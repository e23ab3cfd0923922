"""How a refresh changes a resource's inputs.

Azure fills in defaults, so its answer cannot simply become the inputs. As in the official
provider, the current answer is compared with the former one, and only what differs between the two
changes in the inputs.
"""

from __future__ import annotations

from typing import Any

from emulator.plugins.azure_types import NativeType
from emulator.plugins.values import Properties, Secret


def refresh_inputs(
    native: NativeType, inputs: Properties, before: Properties, now: Properties
) -> Properties:
    """The inputs with the changes in Azure since `before`. Secrets stay secrets."""
    current = native.project(now)
    if native.maintained is not None and native.maintained not in inputs:
        current.pop(native.maintained, None)
    changed: Properties = _apply_changes(inputs, native.project(before), current)
    return changed


def _apply_changes(inputs: Any, before: Any, now: Any) -> Any:
    """`inputs` after the change from `before` to `now`."""
    if isinstance(inputs, Secret):
        return Secret(_apply_changes(inputs.value, before, now))
    if isinstance(inputs, dict) and isinstance(before, dict) and isinstance(now, dict):
        return _apply_changes_to_object(inputs, before, now)
    if isinstance(inputs, list) and isinstance(before, list) and isinstance(now, list):
        return [
            _apply_changes(inputs[index], before[index], each)
            if index < len(inputs) and index < len(before)
            else each
            for index, each in enumerate(now)
        ]
    return inputs if before == now else now


def _apply_changes_to_object(inputs: Properties, before: Properties, now: Properties) -> Properties:
    result: Properties = {}
    for name, value in inputs.items():
        if name in before and name not in now:
            continue  # removed in Azure
        both = name in before and name in now
        result[name] = _apply_changes(value, before[name], now[name]) if both else value
    for name, value in now.items():
        changed_unmentioned = name not in inputs and before.get(name) != value
        if changed_unmentioned or name not in before:
            result[name] = value
    return result
