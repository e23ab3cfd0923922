"""What a refresh makes of a resource's inputs.

Azure fills in defaults, so its answer cannot simply become the inputs. As in the official
provider, the answer of now is compared with the answer of before, and only what changed between
the two is changed in the inputs.
"""

from __future__ import annotations

from typing import Any

from emulator.plugins.azure_types import NativeType
from emulator.plugins.values import Properties, Secret


def refreshed_inputs(
    native: NativeType, inputs: Properties, before: Properties, now: Properties
) -> Properties:
    """The inputs, with what changed in Azure since `before`. Secrets stay secrets."""
    current = native.project(now)
    if native.maintained is not None and native.maintained not in inputs:
        current.pop(native.maintained, None)
    changed: Properties = _changed(inputs, native.project(before), current)
    return changed


def _changed(inputs: Any, before: Any, now: Any) -> Any:
    """`inputs` after the change from `before` to `now`."""
    if isinstance(inputs, Secret):
        return Secret(_changed(inputs.value, before, now))
    if isinstance(inputs, dict) and isinstance(before, dict) and isinstance(now, dict):
        return _changed_object(inputs, before, now)
    if isinstance(inputs, list) and isinstance(before, list) and isinstance(now, list):
        return [
            _changed(inputs[index], before[index], each)
            if index < len(inputs) and index < len(before)
            else each
            for index, each in enumerate(now)
        ]
    return inputs if before == now else now


def _changed_object(inputs: Properties, before: Properties, now: Properties) -> Properties:
    result: Properties = {}
    for name, value in inputs.items():
        if name in before and name not in now:
            continue  # removed in Azure
        both = name in before and name in now
        result[name] = _changed(value, before[name], now[name]) if both else value
    for name, value in now.items():
        changed_unmentioned = name not in inputs and before.get(name) != value
        if changed_unmentioned or name not in before:
            result[name] = value
    return result
