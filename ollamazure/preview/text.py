"""Sentences of this project that contain values from elsewhere, made safe to show.

The value of a setting, a prompt or a file comes from the pull request. In a comment it must not
become markup, mention a user, or hide text: values are shown as code, where Markdown and HTML have
no effect.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

LONGEST_VALUE = 160


@dataclass(frozen=True)
class Value:
    """A text from outside this project."""

    text: str


# Words of this project and values from elsewhere, in order.
Text = tuple[str | Value, ...]


def fill(template: str, values: Mapping[str, object]) -> Text:
    """The template with each `{name}` replaced by the value of that name.

    Raises:
        KeyError: `values` lacks a name of the template.
    """
    return tuple(_parts(template, values))


def _parts(template: str, values: Mapping[str, object]) -> Iterator[str | Value]:
    for words, name, _, _ in string.Formatter().parse(template):
        if words:
            yield words
        if name is not None:
            yield Value(str(values[name]))


def markdown(text: Text) -> str:
    """The text for a comment, also inside a table."""
    return "".join(code(part.text) if isinstance(part, Value) else part for part in text)


def plain(text: Text) -> str:
    """The text for a terminal: without markup and without control characters."""
    return "".join(
        shorten(part.text) if isinstance(part, Value) else re.sub(r"\*\*", "", part)
        for part in text
    )


def code(value: str) -> str:
    """The value as a code span on one line, which it cannot end; also inside a table."""
    shown = shorten(value)
    fence = "`" * (_longest_run(shown) + 1)
    edge = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{fence}{edge}{shown}{edge}{fence}".replace("|", "\\|")


def block(text: str, language: str = "") -> str:
    """The text as a code block, which it cannot end."""
    clean = mask_control_characters(text).strip("\n")
    fence = "`" * max(3, _longest_run(clean) + 1)
    return f"{fence}{language}\n{clean}\n{fence}"


def shorten(value: str) -> str:
    """The value on one line, cut off if it is long."""
    line = " ".join(mask_control_characters(value).split())
    return line if len(line) <= LONGEST_VALUE else line[: LONGEST_VALUE - 1] + "…"


def mask_control_characters(text: str) -> str:
    """The text without characters that control a terminal, reverse it or are invisible."""
    return "".join(
        character if character in "\n\t" or _visible(character) else "\N{REPLACEMENT CHARACTER}"
        for character in text.replace("\r\n", "\n")
    )


def join(texts: Iterable[Text], between: str) -> Text:
    """One text of all of them."""
    parts: list[str | Value] = []
    for text in texts:
        if parts:
            parts.append(between)
        parts.extend(text)
    return tuple(parts)


def _visible(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
