"""The inputs of a resource type: which there are, of what type, and what each one must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.plugins.values import Properties, Secret, Unknown


class InvalidInputsError(Exception):
    """A resource refuses its inputs; `failures` are pairs of property and reason."""

    def __init__(self, *failures: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in failures))
        self.failures = failures


@dataclass(frozen=True)
class InputType:
    """One input of a resource type, as its official schema has it.

    Attributes:
        type: string, number, integer, boolean, list, map, any, or the fields of a nested object.
        default: written into the inputs where the program leaves it out.
        assumed: holds where the program leaves it out, and is in the outputs alone.
        secret: the engine encrypts it, also inside another secret.
    """

    type: str | Mapping[str, InputType]
    required: bool = False
    default: Any = None
    assumed: Any = None
    replaces: bool = False
    secret: bool = False

    def check(self, path: str, value: Any) -> tuple[Any, list[tuple[str, str]]]:
        """The value with its defaults filled in, and the problems found in it."""
        if isinstance(value, Secret):
            checked, failures = self.check(path, value.value)
            return Secret(checked), failures
        if isinstance(value, Unknown):
            return value, []
        if isinstance(self.type, str):
            return value, _check_type(path, self.type, value)
        if not isinstance(value, dict):
            return value, [(path, f"an object is expected, not {_type_name(value)}")]
        return check_inputs(self.type, value, f"{path}.")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "list": (list,),
    "map": (dict,),
}


def _check_type(path: str, wanted: str, value: Any) -> list[tuple[str, str]]:
    fits = wanted == "any" or (
        # To Python a boolean is a number as well.
        isinstance(value, _TYPES[wanted]) and isinstance(value, bool) == (wanted == "boolean")
    )
    if fits:
        return []
    article = "an" if wanted == "integer" else "a"
    return [(path, f"{article} {wanted} is expected, not {_type_name(value)}")]


def _type_name(value: Any) -> str:
    """The type of a value in words. Never the value: it may be a secret."""
    return {str: "a string", bool: "a boolean", dict: "an object", list: "a list"}.get(
        type(value), "a number"
    )


def check_inputs(
    known: Mapping[str, InputType], given: Mapping[str, Any], prefix: str = ""
) -> tuple[Properties, list[tuple[str, str]]]:
    """The values with their defaults filled in, and all problems found in them."""
    failures = [
        (
            f"{prefix}{name}",
            f"an unexpected argument {name!r} was given; known are {comma_list(known)}",
        )
        for name in given
        if name not in known
    ]
    checked: Properties = {}
    for name, rule in known.items():
        value = given.get(name)
        if value is None:
            value = rule.default
        if value is None:
            if rule.required:
                failures.append((f"{prefix}{name}", f"missing required property {name!r}"))
            continue
        value, wrong = rule.check(f"{prefix}{name}", value)
        failures += wrong
        hidden = rule.secret and not isinstance(value, Secret)
        checked[name] = Secret(value) if hidden else value
    return checked, failures


def complete(known: Mapping[str, InputType], inputs: Properties) -> Properties:
    """The checked inputs, and what holds for those that the program has left out."""
    assumed = {name: rule.assumed for name, rule in known.items() if rule.assumed is not None}
    return assumed | inputs


def comma_list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
