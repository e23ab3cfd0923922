"""What every setting is made of: a field that explains itself, and sections of such fields."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


def setting(
    default: Any = ...,
    *,
    description: str,
    allowed: str,
    example: Any,
    fill_in: tuple[str, str] | None = None,
) -> Any:
    """A field with the texts that error messages and the reference print for it.

    Args:
        default: the value when unset; left out for a setting that is required.
        description: what the setting is for, in one line.
        allowed: the values that are allowed, in words.
        example: an allowed value, as a stack file has it.
        fill_in: for a value that only the user knows: what the printed command has in its place,
            and how to find it.
    """
    return Field(
        default,
        description=description,
        examples=[example],
        json_schema_extra={"allowed": allowed, "fill_in": list(fill_in) if fill_in else None},
    )


def key_of(attribute: str) -> str:
    """The name in a stack file: dataDiskGiB for data_disk_gib."""
    return to_camel(attribute).replace("Gib", "GiB").replace("Mib", "MiB")


def slug(key: str) -> str:
    """A key as part of a file's and a resource's name.

    Two keys have the same slug only if they differ in nothing but blanks and colons.
    """
    plain = re.sub(r"[^A-Za-z0-9.@_+-]+", "-", key).strip("-")
    if plain == re.sub("[ :]", "-", key):
        return plain
    return f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:6]}".lstrip("-")


class Section(BaseModel):
    """Settings that belong together: camelCase in stack files, snake_case in the program."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=key_of,
        validate_by_name=True,
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
    )
