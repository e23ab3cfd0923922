"""Questions about the model of the settings: which field a path leads to, and what it allows.

A path is written in the words of a stack file: ("users", 3, "groups", 0).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

SettingPath = tuple[str | int, ...]


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model by their names in a stack file."""
    for field in model.model_fields.values():
        yield str(field.alias), field


def field_named(key: str, model: type[BaseModel]) -> FieldInfo | None:
    """The field of a name in a stack file."""
    return next((field for name, field in fields_of(model) if name == key), None)


def field_at(path: Sequence[str | int], model: type[BaseModel]) -> FieldInfo:
    """The field that a path leads to; a plain item belongs to the field that holds it."""
    return _field_and_rest(path, model)[0]


def steps_into_field(path: Sequence[str | int], model: type[BaseModel]) -> int:
    """How many steps a path takes within the field that it leads to: 1 for models[0]."""
    return len(_field_and_rest(path, model)[1])


def _field_and_rest(
    path: Sequence[str | int], model: type[BaseModel]
) -> tuple[FieldInfo, Sequence[str | int]]:
    field, rest = field_named(str(path[0]), model), path[1:]
    assert field is not None, path  # noqa: S101 - a path leads to a field of the model
    held = item_of(field)
    inner = section_of(field) or held
    further = rest[1:] if held else rest  # a list or mapping of sections takes one step
    return _field_and_rest(further, inner) if inner and further else (field, rest)


def model_at(path: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel]:
    """The section that a path leads to."""
    if not path:
        return model
    field = field_at(path, model)
    return section_of(field) or item_of(field) or model


def example_at(path: Sequence[str | int], model: type[BaseModel]) -> Any:
    """A valid value for a path: the example of its field, or the first item within it."""
    example = example_of(field_at(path, model))
    for _ in range(steps_into_field(path, model)):
        example = next(iter(example.values() if isinstance(example, dict) else example))
    return example


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a section of settings."""
    return next((kind for kind in kinds(field) if issubclass(kind, BaseModel)), None)


def item_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of the sections that a field is a list, or a mapping, of."""
    arguments = [part for part in get_args(_unannotated(field.annotation)) if part is not Ellipsis]
    held = arguments[-1] if {tuple, dict} & set(kinds(field)) and arguments else None
    return held if isinstance(held, type) and issubclass(held, BaseModel) else None


def is_secret(field: FieldInfo) -> bool:
    """Whether the value of a field must not be shown."""
    return SecretStr in kinds(field)


def structure(field: FieldInfo) -> Literal["array", "boolean", "integer", "object", "string"]:
    """The type of a field in Pulumi's words, which know no others."""
    found = kinds(field)
    if tuple in found:
        return "array"
    if dict in found or section_of(field):
        return "object"
    if bool in found:
        return "boolean"
    return "integer" if int in found else "string"


def kinds(field: FieldInfo) -> list[type]:
    """The bare types of a field: tuple for `tuple[str, ...]`, int for `int | None`."""
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


def _unannotated(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def allowed(field: FieldInfo) -> str:
    """The values that a field allows, in words, with an example."""
    first, *more = as_text(example_of(field)).splitlines() or [""]
    return f"{allowed_without_example(field)}; for example {first}{' …' if more else ''}"


def allowed_without_example(field: FieldInfo) -> str:
    """The values that a field allows, in words."""
    return str(_extra(field)["allowed"])


def fill_in(field: FieldInfo) -> tuple[str, str] | None:
    """What a command has in place of a value that only the user knows, and how to find it."""
    found = _extra(field)["fill_in"]
    return (found[0], found[1]) if found else None


def example_of(field: FieldInfo) -> Any:
    """An allowed value of a field, as a stack file has it."""
    (example,) = field.examples or [None]
    return example


def default_of(field: FieldInfo) -> Any:
    """The default of a field, as a stack file has it; None if it has none."""
    if field.is_required():
        return None
    return list(field.default) if isinstance(field.default, tuple) else field.default


def first_value(example: Any) -> tuple[SettingPath, Any]:
    """The first value within an example, with the path to it."""
    if isinstance(example, list) and example:
        path, value = first_value(example[0])
        return (0, *path), value
    if isinstance(example, dict) and example:
        key, inner = next(iter(example.items()))
        path, value = first_value(inner)
        return (key, *path), value
    return (), example


def as_text(value: Any) -> str:
    """A value as a stack file or a command has it: lists and groups as JSON."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _extra(field: FieldInfo) -> dict[str, Any]:
    assert isinstance(field.json_schema_extra, dict)  # noqa: S101 - every field is a setting()
    return field.json_schema_extra
