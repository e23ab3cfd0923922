"""Reads the settings of a stack and checks them before anything is created.

`load` is the only function that reads Pulumi's configuration. Invalid settings end the run with one
error that has every problem, each with the command that fixes it.

Two passes find them. pydantic checks each value by itself. Then an example takes the place of each
invalid value, and `cross_check` finds what does not fit together; findings that rest on an example
are dropped, so one invalid value hides no other problem and causes none.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
from pulumi.runtime import config as raw_config
from pydantic import ValidationError

from ollamazure.names import fault_of_stack_name
from ollamazure.settings import schema, team_file
from ollamazure.settings.cross_checks import cross_check, repeated_models
from ollamazure.settings.problems import (
    NAMESPACE,
    Locate,
    Problem,
    SettingsError,
    Violation,
    command,
    in_stack_file,
    problem_of,
    shown,
    violations_of,
)
from ollamazure.settings.schema import SettingPath
from ollamazure.settings.stack import Settings
from ollamazure.settings.warnings import warnings_of

# Settings that must be encrypted in the stack file.
SECRETS = tuple(key for key, field in schema.fields_of(Settings) if schema.is_secret(field))
# A path in which None stands for any item.
Pattern = tuple[str | int | None, ...]


@dataclass(frozen=True)
class RawSettings:
    """Settings as a user wrote them, before they are checked.

    Attributes:
        values: by key, as a stack file has them.
        locate: finds values that are in another file than the stack's.
        unread: keys that are set and whose value could not be read.
        incomplete: keys with more items in a file that could not be read.
        secrets: keys that Pulumi keeps encrypted.
    """

    values: Mapping[str, Any]
    locate: Locate = in_stack_file
    unread: Collection[str] = ()
    incomplete: Collection[str] = ()
    secrets: frozenset[str] = frozenset()


def load(config: pulumi.Config) -> Settings:
    """The settings of the stack; logs a warning for each risk that they allow.

    Raises:
        SettingsError: naming all problems; nothing has been created yet.
    """
    prefix = f"{config.name}:"
    keys = {*raw_config.get_config_env(), *raw_config.CONFIG.get()}
    texts = {
        key.removeprefix(prefix): str(raw_config.get_config(key))
        for key in keys
        if key.startswith(prefix)
    }
    secrets = frozenset(key for key in texts if raw_config.is_config_secret(f"{prefix}{key}"))
    settings = parse(texts, secrets, problems_of_stack(pulumi.get_project(), pulumi.get_stack()))
    for warning in warnings_of(settings):
        pulumi.log.warn(warning)
    return settings


def problems_of_stack(project: str, stack: str) -> list[Problem]:
    """The problem of the stack's own name, if it has one."""
    fault = fault_of_stack_name(project, stack)
    if fault is None:
        return []
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", stack).strip("-")[:40].rstrip("-") or "dev"
    allowed = "letters, digits, ., _ and -, not first a . or -, and not last a .; for example dev"
    what = f"= {shown(stack, False)} is not allowed: {fault}."
    return [Problem("The stack's name", what, allowed, f"pulumi stack rename {plain}")]


def parse(
    texts: Mapping[str, str],
    secrets: frozenset[str] = frozenset(),
    earlier: Sequence[Problem] = (),
    encrypted: Collection[str] = (),
) -> Settings:
    """Settings from texts by key, as Pulumi supplies them.

    Args:
        texts: by key; lists and groups as JSON.
        secrets: keys that Pulumi keeps encrypted.
        earlier: problems to report together with those of the settings.
        encrypted: keys that are set and cannot be read here; they are taken to be valid. Each has
            its default as the value, or its example if it has none.

    Raises:
        SettingsError: naming all problems.
    """
    texts = {key: text for key, text in texts.items() if not _is_unset(key, text)}
    problems = [*earlier, *_secrets_in_plain_text(texts, secrets)]
    fields = [(key, schema.field_named(key, Settings)) for key in encrypted]
    values = {key: schema.example_of(each) for key, each in fields if each and each.is_required()}
    unread = list(encrypted)
    for key, text in texts.items():
        try:
            values[key] = _decode(key, text)
        except ValueError as error:
            unread.append(key)
            problems.append(_not_json(key, text, error, key in secrets))
    if team_file.KEY not in values:
        return validate(RawSettings(values, unread=unread, secrets=secrets), problems)
    file, problems_of_file = team_file.read(values[team_file.KEY], values)
    problems += problems_of_file
    if file is None:
        raw = RawSettings(values, unread=unread, incomplete=team_file.KEYS, secrets=secrets)
    else:
        raw = RawSettings(file.merge(), file.locate, unread, secrets=secrets)
    return validate(raw, problems)


def validate(raw: RawSettings, problems: Sequence[Problem] = ()) -> Settings:
    """The settings, if they are valid and there are no earlier `problems`.

    Raises:
        SettingsError: naming all problems.
    """
    invalid, filled_in = _check_each_value(raw)
    misfits = _check_together(raw, filled_in, [violation.path for violation in invalid])
    problems = [
        *problems,
        *(problem_of(each, Settings, raw.secrets, raw.locate) for each in (*invalid, *misfits)),
    ]
    if problems:
        raise SettingsError(problems)
    return _typed(raw.values)


def _typed(values: Mapping[str, Any]) -> Settings:
    return Settings.model_validate(values, by_alias=True, by_name=False)


def _check_each_value(raw: RawSettings) -> tuple[list[Violation], Settings]:
    """The values that are invalid by themselves, and the settings with an example for each."""
    values = copy.deepcopy(dict(raw.values))
    for key in raw.unread:
        if field := schema.field_named(key, Settings):
            values[key] = schema.example_of(field)
    invalid: list[Violation] | None = None
    while True:
        try:
            return invalid or [], _typed(values)
        except ValidationError as error:
            found = list(violations_of(error))
            # What comes to light only now may come from an example, and waits for the next run.
            invalid = found if invalid is None else invalid
            for violation in sorted(found, key=_is_to_be_removed):  # removed last, with its parts
                _put_example(values, violation)


def _is_to_be_removed(violation: Violation) -> bool:
    return violation.remove == violation.path


def _put_example(values: dict[str, Any], violation: Violation) -> None:
    """Replaces an invalid value by an example; an invalid name is removed with its value."""
    *parents, last = violation.path
    holder: Any = values
    for step in parents:
        holder = holder[step]
    if isinstance(holder, dict) and _is_to_be_removed(violation):
        holder.pop(last, None)  # the name and the value may both be invalid
    else:
        holder[last] = schema.example_at(violation.path, Settings)


def _check_together(
    raw: RawSettings, settings: Settings, invalid: Sequence[SettingPath]
) -> Iterator[Violation]:
    """What does not fit together: one finding for each value, and none that rests on an example."""
    examples: list[Pattern] = [*invalid, *((key,) for key in raw.unread)]
    # The items of an incomplete list are real, and others are missing: -1 is none of the items.
    uncertain = [*examples, *((key, -1) for key in raw.incomplete)]
    reported = set()
    for found in (*repeated_models(raw.values), *cross_check(settings)):
        violation = _as_written(found, raw.values)
        path, rests_on = violation.path, violation.rests_on
        if path in reported or _overlap([path], examples) or _overlap(rests_on, uncertain):
            continue
        reported.add(path)
        yield violation


def _overlap(some: Iterable[Pattern], others: Iterable[Pattern]) -> bool:
    """Whether a path of `some` leads to, into or around a path of `others`."""
    return any(
        all(None in (a, b) or a == b for a, b in zip(one, other, strict=False))
        for one in some
        for other in others
    )


def _as_written(found: Violation, values: Mapping[str, Any]) -> Violation:
    """The finding with a model's name as modelAccess has it, perhaps without the tag latest."""
    names = values.get("modelAccess")
    if found.path[0] != "modelAccess" or not isinstance(names, dict) or found.path[1] in names:
        return found
    path = ("modelAccess", str(found.path[1]).removesuffix(":latest"), *found.path[2:])
    return replace(found, path=path, remove=found.remove and path[: len(found.remove)])


def _is_unset(key: str, text: str) -> bool:
    """Whether a text only stands for the missing default that Pulumi.yaml has to declare."""
    field = schema.field_named(key, Settings)
    if text == "" or field is None:
        return text == ""
    return (text == "[]" and field.is_required()) or (text == "{}" and field.default is None)


def _decode(key: str, text: str) -> Any:
    field = schema.field_named(key, Settings)
    kind = schema.structure(field) if field else "string"
    if kind == "array" and text.lstrip()[:1] not in ("[", "{"):
        return [part for part in re.split(r"[,\s]+", text) if part]
    return json.loads(text) if kind in ("array", "object") else text


def _not_json(key: str, text: str, error: ValueError, secret: bool) -> Problem:
    field = schema.field_at((key,), Settings)
    return Problem(
        f"{NAMESPACE}:{key}",
        f"= {shown(text, secret)} is not allowed: it is not JSON ({error}).",
        schema.allowed(field),
        command((key,), schema.as_text(schema.example_of(field))),
    )


def _secrets_in_plain_text(texts: Mapping[str, str], secrets: frozenset[str]) -> Iterator[Problem]:
    for key in SECRETS:
        if key in texts and key not in secrets:
            set_it = command((key,), "", secret=True)
            fill_in = schema.fill_in(schema.field_at((key,), Settings))
            value = f"{fill_in[0]}\n{fill_in[1]}" if fill_in else "(prompts for the value)"
            yield Problem(
                f"{NAMESPACE}:{key}",
                "is not encrypted in the stack file.",
                "a secret, set with --secret",
                f"{set_it} {value}\nChoose a new one: others may have read the old one.",
            )
