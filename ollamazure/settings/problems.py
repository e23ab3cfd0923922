"""Problems of the settings in words: the key, the value, what is allowed, and the fix.

A secret's value is never shown.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from ollamazure.settings import schema
from ollamazure.settings.schema import SettingPath

NAMESPACE = "ollamazure"
HIDDEN = "[secret]"
SHOWN = 80  # characters of a value

# What pydantic's own checks find, in words for people who write a stack file.
REASONS = {
    "bool_parsing": "it is neither true nor false",
    "bool_type": "it is neither true nor false",
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


@dataclass(frozen=True)
class Problem:
    """One invalid setting, ready to print.

    Attributes:
        where: the key, or the line of a file with the path there.
        what: what is wrong, the rest of the sentence that starts with `where`.
        allowed: which values are allowed.
        fix: a command, or what to change in a file; further lines explain it.
    """

    where: str
    what: str
    allowed: str
    fix: str

    def __str__(self) -> str:
        fix = self.fix.replace("\n", f"\n{'':13}")
        return f"{self.where} {self.what}\n   Allowed: {self.allowed}\n   Fix:      {fix}"


class SettingsError(pulumi.RunError):
    """All problems of a stack's settings. It ends the program before anything is created."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 setting" if len(problems) == 1 else f"{len(problems)} settings"
        items = "\n".join(f"{number}. {problem}" for number, problem in enumerate(problems, 1))
        super().__init__(f"{count} to fix; nothing has been created or changed.\n{items}")


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with the settings, before it is put into words.

    Attributes:
        path: of the wrong value, in the words of a stack file: ("users", 3, "groups", 0).
        given: the wrong value; None if it is missing.
        reason: continues "… is not allowed: ", without a full stop; None if there is no more to
            say than that the value is missing.
        instead: the right value.
        remove: the part to remove, if there is no right value.
        fix: the printed fix, if neither of these is one.
        rests_on: the other parts that the finding follows from; None in such a path stands for
            every item.
        unknown: no setting has this name.
    """

    path: SettingPath
    given: Any
    reason: str | None
    instead: str | None = None
    remove: SettingPath | None = None
    fix: str | None = None
    rests_on: tuple[tuple[str | int | None, ...], ...] = ()
    unknown: bool = False


@dataclass(frozen=True)
class FileLocation:
    """The place of a value that is in another file than the stack's.

    Attributes:
        file: its name, for people.
        line: None if the file has no lines.
        path: of the value within the file.
    """

    file: str
    line: int | None
    path: SettingPath

    @property
    def where(self) -> str:
        """The file, and the line if there is one."""
        return self.file if self.line is None else f"{self.file}, line {self.line}"

    def __str__(self) -> str:
        return f"{self.where}: {dotted(self.path)}"


Locate = Callable[[SettingPath], FileLocation | None]


def in_stack_file(path: SettingPath) -> FileLocation | None:
    """The location of every value when there is no other file than the stack's."""
    del path
    return None


def refusal(
    reason: str, *, instead: str | None = None, fix: str | None = None
) -> PydanticCustomError:
    """The error that a type's validator raises; see Violation for the arguments."""
    context = {"reason": reason, "instead": instead, "fix": fix}
    return PydanticCustomError("refused", "{reason}", context)


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """The known name nearest to the given one, or None if none is near."""
    names = list(known)
    in_other_case = (name for name in names if name.lower() == given.lower())
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.7)
    return next(in_other_case, near[0] if near else None)


def hint(near: str | None) -> str:
    """The end of a reason that suggests a name; empty if there is none."""
    return f", did you mean {near}?" if near else ""


def command(path: Sequence[str | int], value: str, *, secret: bool = False) -> str:
    """The `pulumi config set` for a value; for a secret it has no value, so Pulumi prompts."""
    return _config_set(path, secret) + ("" if secret else f" {shlex.quote(value)}")


def _config_set(path: Sequence[str | int], secret: bool = False) -> str:
    flags = (" --secret" if secret else "") + (" --path" if len(path) > 1 else "")
    return f"pulumi config set{flags} {shlex.quote(f'{NAMESPACE}:{dotted(path)}')}"


def example_command(
    path: SettingPath, model: type[BaseModel], instead: str | None = None, *, secret: bool = False
) -> str:
    """The `pulumi config set` for a path of the model, with an example unless `instead` is given.

    A value that only the user knows is left for the user to fill in.
    """
    field = schema.field_at(path, model)
    inner, example = schema.first_value(schema.example_of(field))
    whole = (*path, *inner[schema.steps_into_field(path, model) :])
    if (fill_in := schema.fill_in(field)) and not instead:
        hidden = secret or schema.is_secret(field)
        return f"{_config_set(whole, hidden)} {fill_in[0]}"
    value = instead or schema.as_text(example)
    return command(whole, value, secret=secret or schema.is_secret(field))


def remove(path: Sequence[str | int]) -> str:
    """The `pulumi config rm` that removes a value."""
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


def shown(value: Any, secret: bool) -> str:
    """A value as a message shows it."""
    if secret or isinstance(value, SecretStr):
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False, default=str)
    if "PRIVATE KEY" in text:  # pasted by mistake, whatever the setting
        return HIDDEN
    text = re.sub(r"(?<=//)[^/@\s]*@", f"{HIDDEN}@", text)  # a password in an address
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def violations_of(error: ValidationError) -> Iterator[Violation]:
    """What pydantic found; the paths are those of a stack file."""
    found = error.errors(include_url=False)
    for details in found:
        if not _follows(details, found):
            # pydantic marks the name of a mapping's item.
            path = tuple(step for step in details["loc"] if step != "[key]")
            yield _violation(details, path)


def _follows(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list only counts as empty because all of its items were refused."""
    depth = len(details["loc"])
    return details["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == details["loc"] for other in found
    )


def _violation(details: ErrorDetails, path: SettingPath) -> Violation:
    if details["type"] == "extra_forbidden":
        return Violation(path, details["input"], None, remove=path, unknown=True)
    if details["type"] == "missing":
        return Violation(path, None, None)
    context = details.get("ctx", {})
    remove = _part_to_remove(details, path)
    return Violation(
        path,
        details["input"],
        REASONS.get(details["type"], details["msg"]),
        instead=None if remove else context.get("instead"),
        remove=remove,
        fix=context.get("fix"),
    )


def _part_to_remove(details: ErrorDetails, path: SettingPath) -> SettingPath | None:
    """A wrong name, the last of too many, or an item that is not a group of settings; or None."""
    if "[key]" in details["loc"]:
        return path
    if details["type"] == "too_long" and isinstance(details["input"], dict):
        return (*path, list(details["input"])[-1])
    is_item = len(path) == 2  # as in users[0]; a group within a group has a right value
    return path if details["type"] == "model_type" and is_item else None


def problem_of(
    violation: Violation,
    model: type[BaseModel],
    secrets: frozenset[str] = frozenset(),
    locate: Locate = in_stack_file,
) -> Problem:
    """The problem that a violation is, in words.

    Args:
        violation: what is wrong.
        model: of the settings.
        secrets: top-level keys whose values must not be shown.
        locate: finds values that are in another file than the stack's.
    """
    path, location = violation.path, locate(violation.path)
    where = str(location or f"{NAMESPACE}:{dotted(path)}")
    if violation.unknown:
        return _unknown(violation, where, model, location)
    field = schema.field_at(path, model)
    secret = str(path[0]) in secrets or schema.is_secret(field)
    return Problem(
        where,
        _what(violation, secret),
        schema.allowed(field),
        _fix_in(location, violation, field) if location else _fix(violation, model, secret),
    )


def _what(violation: Violation, secret: bool) -> str:
    if violation.reason is None:
        return "is not set."
    sentence = violation.reason if violation.reason.endswith("?") else f"{violation.reason}."
    if violation.given is None:
        return f"is not set: {sentence}"
    return f"= {shown(violation.given, secret)} is not allowed: {sentence}"


def _unknown(
    violation: Violation, where: str, model: type[BaseModel], location: FileLocation | None
) -> Problem:
    *parents, name = violation.path
    names = sorted(key for key, _ in schema.fields_of(schema.model_at(parents, model)))
    near = did_you_mean(str(name), names)
    return Problem(
        where,
        "is not a setting." + (f" Did you mean {near}?" if near else ""),
        ", ".join(names),
        f"in {location.where}, remove it" if location else remove(violation.path),
    )


def _fix(violation: Violation, model: type[BaseModel], secret: bool) -> str:
    """The command that fixes a value of the stack file."""
    if violation.fix:
        return violation.fix
    if violation.remove and not violation.instead:
        return remove(violation.remove)
    path, field = violation.path, schema.field_at(violation.path, model)
    if path == (field.alias,) and schema.item_of(field) and schema.structure(field) == "array":
        return command(path, schema.as_text(schema.example_of(field)))
    set_it = example_command(path, model, violation.instead, secret=secret)
    fill_in = schema.fill_in(field)
    return f"{set_it}\n{fill_in[1]}" if fill_in else set_it


def _fix_in(location: FileLocation, violation: Violation, field: FieldInfo) -> str:
    """What to change in a file that no command edits."""
    if violation.remove and not violation.instead:
        part = location.path[: len(violation.remove)]
        return f"in {location.where}, remove {dotted(part)}"
    last, example = location.path[-1], schema.example_of(field)
    right = example if last == field.alias else schema.first_value(example)[1]
    text = violation.instead or schema.as_text(right)
    return f"in {location.where}, write " + (f"{last}: {text}" if isinstance(last, str) else text)
