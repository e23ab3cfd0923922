"""What every setting is made of: a field that explains itself, and sections of such fields."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


def setting(default: Any = ..., *, description: str, allowed: str, example: Any) -> Any:
    """A field with what the error messages and the reference say of it.

    Args:
        default: the value when unset; left out when the setting must be given.
        description: one line, what it is for.
        allowed: which values are right, in words.
        example: a right value, as it lies in a stack file.
    """
    return Field(
        default,
        description=description,
        examples=[example],
        json_schema_extra={"allowed": allowed},
    )


def key_of(attribute: str) -> str:
    """The name in a stack file: dataDiskGiB for data_disk_gib."""
    return to_camel(attribute).replace("Gib", "GiB").replace("Mib", "MiB")


class Section(BaseModel):
    """Settings that belong together: camelCase in stack files, snake_case in the program."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=key_of,
        validate_by_name=True,
        coerce_numbers_to_str=True,
        validate_default=True,
        hide_input_in_errors=True,
    )
