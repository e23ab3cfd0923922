"""Bad settings, told in one go: each with its key, what was given, what is allowed, the way out.

pydantic finds the problems; this file only words them. A secret's value is never shown.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pulumi
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

NAMESPACE = "ollamazure"
HIDDEN = "[secret]"
SHOWN = 80  # characters of a wrong value

# What pydantic's own checks find, in the words of somebody who writes a stack file.
REASONS = {
    "bool_parsing": "it is neither true nor false",
    "bool_type": "it is neither true nor false",
    "date_from_datetime_parsing": "it is not a date",
    "date_type": "it is not a date",
    "dict_type": "it is not a group of settings",
    "float_parsing": "it is not a number",
    "greater_than": "it is too small",
    "greater_than_equal": "it is too small",
    "int_from_float": "it is not a whole number",
    "int_parsing": "it is not a whole number",
    "int_type": "it is not a whole number",
    "less_than": "it is too large",
    "less_than_equal": "it is too large",
    "literal_error": "it is not one of the choices",
    "model_type": "it is not a group of settings",
    "string_too_long": "it is too long",
    "string_too_short": "it is empty",
    "string_type": "it is not text",
    "too_long": "it is too long",
    "too_short": "the list is empty",
    "tuple_type": "it is not a list",
}


class SettingsError(pulumi.RunError):
    """Every problem of one run's settings; the program ends with it before anything is created."""


@dataclass(frozen=True)
class Problem:
    """One bad setting, ready to print."""

    what: str
    allowed: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}\n   Allowed: {self.allowed}\n   Mend it: {self.mend}"


def refusal(
    reason: str, *, instead: str | None = None, mend: str | None = None
) -> PydanticCustomError:
    """The error a validator raises.

    Args:
        reason: continues "… is not allowed: ", without a full stop.
        instead: the value the printed command sets; the field's example unless told.
        mend: the printed command, where it is not the one that sets this field.
    """
    context = {"reason": reason, "instead": instead, "mend": mend}
    return PydanticCustomError("refused", "{reason}", context)


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """The known name nearest to the one given, or None when nothing is near."""
    near = difflib.get_close_matches(given, list(known), n=1, cutoff=0.7)
    return near[0] if near else None


def command(path: Sequence[str | int], value: str, *, secret: bool = False) -> str:
    """The `pulumi config set` that puts a value at a path; a secret is asked for, never shown."""
    flags = " --secret" if secret else ""
    flags += " --path" if len(path) > 1 else ""
    key = shlex.quote(f"{NAMESPACE}:{dotted(path)}")
    return f"pulumi config set{flags} {key}" + ("" if secret else f" {shlex.quote(value)}")


def remove(path: Sequence[str | int]) -> str:
    """The `pulumi config rm` that takes a value away."""
    flag = " --path" if len(path) > 1 else ""
    return f"pulumi config rm{flag} {shlex.quote(f'{NAMESPACE}:{dotted(path)}')}"


def dotted(path: Sequence[str | int]) -> str:
    """A path as `pulumi config set --path` reads it: certificate.country, models[0]."""
    first, *rest = path
    return str(first) + "".join(_step(step) for step in rest)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f'["{step}"]'


def report(problems: Sequence[Problem]) -> SettingsError:
    """All problems as the one error a user sees."""
    count = "1 setting" if len(problems) == 1 else f"{len(problems)} settings"
    items = "\n".join(f"{number}. {problem}" for number, problem in enumerate(problems, 1))
    return SettingsError(f"{count} to mend; nothing has been created or changed.\n{items}")


def problems_of(
    error: ValidationError, model: type[BaseModel], secrets: frozenset[str]
) -> list[tuple[str, Problem]]:
    """What pydantic found, each problem with the top-level key it belongs to.

    Args:
        error: pydantic's findings.
        model: the settings model they were found with.
        secrets: top-level keys whose values must not be shown.
    """
    found = error.errors(include_url=False)
    return [
        (str(details["loc"][0]), _problem(details, model, secrets))
        for details in found
        if not _follows(details, found)
    ]


def _follows(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """A list whose items were all refused counts as empty too, which helps nobody."""
    depth = len(details["loc"])
    return details["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == details["loc"] for other in found
    )


def _problem(details: ErrorDetails, model: type[BaseModel], secrets: frozenset[str]) -> Problem:
    path = _path(details["loc"], model)
    if details["type"] == "extra_forbidden":
        return _unknown(path, model)
    field = field_at(path, model)
    secret = str(path[0]) in secrets or SecretStr in kinds(field)
    context = details.get("ctx", {})
    return Problem(
        what=_what(path, details, secret),
        allowed=allowed(field),
        mend=context.get("mend")
        or _removal(path, details)
        or _mend(path, field, context.get("instead"), secret),
    )


def _removal(path: Sequence[str | int], details: ErrorDetails) -> str | None:
    """The way out when a name, or the number of names, is wrong: there is no right value to set."""
    if "[key]" in details["loc"]:
        return remove(path)
    if details["type"] == "too_long" and isinstance(details["input"], dict):
        return remove((*path, list(details["input"])[-1]))
    return None


def _path(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[str | int, ...]:
    """Where a problem lies, in a stack file's words.

    pydantic names an unset field by its attribute, and marks the key of a dictionary.
    """
    first, *rest = loc
    field = model.model_fields.get(str(first))
    name = str(field.alias) if field else first
    inner = group(field_at((name,), model)) if rest else None
    if inner:
        return (name, *_path(rest, inner))
    return (name, *(step for step in rest if step != "[key]"))


def _what(path: Sequence[str | int], details: ErrorDetails, secret: bool) -> str:
    key = f"{NAMESPACE}:{dotted(path)}"
    if details["type"] == "missing":
        return f"{key} is not set."
    reason = REASONS.get(details["type"], details["msg"])
    sentence = reason if reason.endswith("?") else f"{reason}."
    return f"{key} = {shown(details['input'], secret)} is not allowed: {sentence}"


def shown(value: Any, secret: bool) -> str:
    """A value as it may be printed."""
    if secret or isinstance(value, SecretStr):
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _mend(path: Sequence[str | int], field: FieldInfo, instead: str | None, secret: bool) -> str:
    example = (field.examples or [""])[0]
    if len(path) == 1 and isinstance(example, list):
        return command((*path, 0), instead or str(example[0]), secret=secret)
    if len(path) == 1 and isinstance(example, dict):
        key, value = next(iter(example.items()))
        return command((*path, key), instead or str(value), secret=secret)
    if isinstance(example, list):
        example = example[0]
    if isinstance(example, dict):
        example = next(iter(example.values()))
    return command(path, instead or _text(example), secret=secret)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(path: Sequence[str | int], model: type[BaseModel]) -> Problem:
    *parents, name = path
    owner = model_at(parents, model)
    names = sorted(str(field.alias) for field in owner.model_fields.values())
    near = did_you_mean(str(name), names)
    hint = f" Did you mean {near}?" if near else ""
    return Problem(
        what=f"{NAMESPACE}:{dotted(path)} is not a setting.{hint}",
        allowed=", ".join(names),
        mend=remove(path),
    )


def field_at(path: Sequence[str | int], model: type[BaseModel]) -> FieldInfo:
    """The field a path leads to; list items and tag names belong to the field that holds them."""
    field = next(field for field in model.model_fields.values() if field.alias == path[0])
    inner = group(field)
    return field_at(path[1:], inner) if inner and len(path) > 1 else field


def model_at(path: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel]:
    """The group of settings a path leads to."""
    inner = group(field_at(path, model)) if path else None
    return inner or model


def group(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a group of settings."""
    return next((kind for kind in kinds(field) if issubclass(kind, BaseModel)), None)


def kinds(field: FieldInfo) -> list[type]:
    """The bare types a field may hold: tuple for `tuple[str, ...]`, int for `int | None`."""
    return list(_bare(field.annotation))


def _bare(annotation: Any) -> Iterator[type]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _bare(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _bare(part)
    elif isinstance(origin or annotation, type):
        yield origin or annotation


def allowed(field: FieldInfo) -> str:
    """What a field takes, with an example of a right value."""
    extra = field.json_schema_extra
    rule = extra.get("allowed", "") if isinstance(extra, dict) else ""
    example = (field.examples or [None])[0]
    return str(rule) if example is None else f"{rule}; for example {_example(example)}"


def _example(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else _text(value)
