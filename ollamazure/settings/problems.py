"""Bad settings, told in one go: each with its key, what was given, what is allowed, the way out.

pydantic finds the problems; this file only words them. A secret's value is never shown.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pulumi
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

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
    fix: str

    def __str__(self) -> str:
        return f"{self.what}\n   Allowed: {self.allowed}\n   Fix:      {self.fix}"


def refusal(
    reason: str, *, instead: str | None = None, fix: str | None = None
) -> PydanticCustomError:
    """The error a validator raises.

    Args:
        reason: continues "… is not allowed: ", without a full stop.
        instead: the value the printed command sets; the field's example unless told.
        fix: the printed command, where it is not the one that sets this field.
    """
    context = {"reason": reason, "instead": instead, "fix": fix}
    return PydanticCustomError("refused", "{reason}", context)


@dataclass(frozen=True)
class Wrong:
    """One of several things a validator has found in the value of a field.

    Attributes:
        path: from the top-level key on, in a stack file's words: ("users", 3, "groups", 0).
        given: the value that is wrong.
        reason: continues "… is not allowed: ", without a full stop.
        instead: the value that would be right; None when something can only be taken away,
        superfluous: which is this, or the value itself.
        fix: the printed command, where it is neither of these.
    """

    path: tuple[str | int, ...]
    given: Any
    reason: str
    instead: str | None = None
    superfluous: tuple[str | int, ...] | None = None
    fix: str | None = None

    def at(self, places: Sequence[int]) -> Wrong:
        """The same, found in a list that had only the items at these places of the whole one."""

        def moved(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
            key, index, *rest = path
            return (key, places[int(index)], *rest)

        return replace(
            self,
            path=moved(self.path),
            superfluous=self.superfluous and moved(self.superfluous),
        )

    @property
    def details(self) -> InitErrorDetails:
        """The same for pydantic."""
        context = {
            "reason": self.reason,
            "instead": self.instead,
            "fix": self.fix,
            "path": self.path,
            "superfluous": None if self.instead else self.superfluous or self.path,
        }
        error = PydanticCustomError("refused", "{reason}", context)
        return InitErrorDetails(type=error, loc=(), input=self.given)


def refuse(found: Iterable[Wrong], beside: ValidationError | None = None) -> None:
    """End a validator with all that was found; nothing found is no error.

    Args:
        found: what is wrong.
        beside: what pydantic has found by itself.

    Raises:
        ValidationError: pydantic takes each of its parts for one of its own.
    """
    details = [wrong.details for wrong in found]
    if details:
        former = [_again(one) for one in beside.errors()] if beside else []
        raise ValidationError.from_exception_data("settings", [*former, *details])


def _again(details: ErrorDetails) -> InitErrorDetails:
    context = details.get("ctx", {})
    refused = PydanticCustomError("refused", "{reason}", context)
    kind = refused if details["type"] == "refused" else details["type"]
    return InitErrorDetails(type=kind, loc=details["loc"], input=details["input"], ctx=context)


@dataclass(frozen=True)
class Place:
    """Where a value lies that is not in the stack file: for people, and its path there."""

    file: str
    line: int | None  # None where there are no lines
    path: tuple[str | int, ...]

    @property
    def where(self) -> str:
        return self.file if self.line is None else f"{self.file}, line {self.line}"

    def __str__(self) -> str:
        return f"{self.where}: {dotted(self.path)}"


Locate = Callable[[tuple[str | int, ...]], Place | None]


def in_stack_file(path: tuple[str | int, ...]) -> Place | None:
    """The place of a value when there is no other file."""
    del path
    return None


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
    return SettingsError(f"{count} to fix; nothing has been created or changed.\n{items}")


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    secrets: frozenset[str],
    locate: Locate = in_stack_file,
) -> list[tuple[str, Problem]]:
    """What pydantic found, each problem with the top-level key it belongs to.

    Args:
        error: pydantic's findings.
        model: the settings model they were found with.
        secrets: top-level keys whose values must not be shown.
        locate: finds values that lie in another file than the stack's.
    """
    found = error.errors(include_url=False)
    return [
        (str(details["loc"][0]), _problem(details, model, secrets, locate))
        for details in found
        if not _follows(details, found)
    ]


def _follows(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """A list whose items were all refused counts as empty too, which helps nobody."""
    depth = len(details["loc"])
    return details["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == details["loc"] for other in found
    )


def _problem(
    details: ErrorDetails, model: type[BaseModel], secrets: frozenset[str], locate: Locate
) -> Problem:
    context = details.get("ctx", {})
    path = context.get("path") or _path(details["loc"], model)
    place = locate(path)
    if details["type"] == "extra_forbidden":
        return _unknown(path, model, place)
    field = field_at(path, model)
    secret = str(path[0]) in secrets or SecretStr in kinds(field)
    if place:
        fix = _fix_there(place, path, details, field)
    else:
        fix = context.get("fix") or _fix(path, details, field, secret)
    return Problem(what=_what(path, place, details, secret), allowed=allowed(field), fix=fix)


def _path(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[str | int, ...]:
    """Where a problem lies, in a stack file's words.

    pydantic names an unset field by its attribute, and marks the key of a dictionary.
    """
    first, *rest = loc
    field = model.model_fields.get(str(first))
    name = str(field.alias) if field else first
    inner, steps, rest = _inside(field_at((name,), model), rest) if rest else (None, (), rest)
    if inner and rest:
        return (name, *steps, *_path(rest, inner))
    return (name, *steps, *(step for step in rest if step != "[key]"))


def _inside(
    field: FieldInfo, path: Sequence[str | int]
) -> tuple[type[BaseModel] | None, Sequence[str | int], list[str | int]]:
    """The section that a path into a field leads to, the steps to it, and what is left.

    A list or mapping of sections takes one step.
    """
    steps = 1 if item(field) else 0
    return section(field) or item(field), tuple(path[:steps]), list(path[steps:])


def _what(
    path: Sequence[str | int], place: Place | None, details: ErrorDetails, secret: bool
) -> str:
    key = _name(path, place)
    if details["type"] == "missing":
        return f"{key} is not set."
    reason = REASONS.get(details["type"], details["msg"])
    sentence = reason if reason.endswith("?") else f"{reason}."
    if details["type"] == "refused" and details["input"] is None:
        return f"{key} is not set: {sentence}"
    return f"{key} = {shown(details['input'], secret)} is not allowed: {sentence}"


def _name(path: Sequence[str | int], place: Place | None) -> str:
    return str(place or f"{NAMESPACE}:{dotted(path)}")


def shown(value: Any, secret: bool) -> str:
    """A value as it may be printed."""
    if secret or isinstance(value, SecretStr):
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _fix(path: Sequence[str | int], details: ErrorDetails, field: FieldInfo, secret: bool) -> str:
    if extra := _superfluous(path, details, field):
        return remove(extra)
    example = (field.examples or [""])[0]
    if isinstance(example, list) and path == (field.alias,) and item(field):
        return command(path, json.dumps(example, ensure_ascii=False))
    inner, value = leaf(example)
    rest = list(path)[::-1].index(str(field.alias))  # steps that the path goes into the field
    whole = (*path, *inner[rest:])
    instead = details.get("ctx", {}).get("instead")
    return command(whole, instead or _text(value), secret=secret)


def _fix_there(
    place: Place, path: Sequence[str | int], details: ErrorDetails, field: FieldInfo
) -> str:
    """What to write, or to take away, in a file that no command edits."""
    where = f"in {place.where}"
    extra = _superfluous(path, details, field)
    if extra:
        return f"{where}, take away {dotted(place.path[: len(extra)])}"
    last, example = place.path[-1], (field.examples or [""])[0]
    right = example if last == field.alias else leaf(example)[1]
    text = _example(details.get("ctx", {}).get("instead") or right)
    return f"{where}, write " + (f"{last}: {text}" if isinstance(last, str) else text)


def _superfluous(
    path: Sequence[str | int], details: ErrorDetails, field: FieldInfo
) -> Sequence[str | int] | None:
    """What can only be taken away: there is no right value to set."""
    found: Sequence[str | int] | None = details.get("ctx", {}).get("superfluous")
    if found or "[key]" in details["loc"]:
        return found or path
    if details["type"] == "too_long" and isinstance(details["input"], dict):
        return (*path, list(details["input"])[-1])
    if details["type"] == "model_type" and item(field):
        return path[:2]
    return None


def leaf(example: Any) -> tuple[tuple[str | int, ...], Any]:
    """The first value within an example, with the path to it."""
    if isinstance(example, list) and example:
        path, value = leaf(example[0])
        return (0, *path), value
    if isinstance(example, dict) and example:
        key, inner = next(iter(example.items()))
        path, value = leaf(inner)
        return (key, *path), value
    return (), example


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(path: Sequence[str | int], model: type[BaseModel], place: Place | None) -> Problem:
    *parents, name = path
    owner = model_at(parents, model)
    names = sorted(str(field.alias) for field in owner.model_fields.values())
    near = did_you_mean(str(name), names)
    hint = f" Did you mean {near}?" if near else ""
    return Problem(
        what=f"{_name(path, place)} is not a setting.{hint}",
        allowed=", ".join(names),
        fix=f"in {place.where}, take it away" if place else remove(path),
    )


def field_at(path: Sequence[str | int], model: type[BaseModel]) -> FieldInfo:
    """The field a path leads to; items that are no sections belong to the field that holds them."""
    field = next(field for field in model.model_fields.values() if field.alias == path[0])
    inner, _, rest = _inside(field, path[1:])
    return field_at(rest, inner) if inner and rest else field


def model_at(path: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel]:
    """The section that a path leads to."""
    inner = _inside(field_at(path, model), ())[0] if path else None
    return inner or model


def section(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a section of settings."""
    return next((kind for kind in kinds(field) if issubclass(kind, BaseModel)), None)


def item(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the sections that a field is a list, or a mapping, of."""
    arguments = [part for part in get_args(_unannotated(field.annotation)) if part is not Ellipsis]
    held = arguments[-1] if {tuple, dict} & set(kinds(field)) and arguments else None
    return held if isinstance(held, type) and issubclass(held, BaseModel) else None


def _unannotated(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


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
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else _text(value)
