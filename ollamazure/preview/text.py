"""Sentences of ours with values of others in them, and the values made harmless where shown.

What a setting, a prompt or a file says comes from the pull request. In a comment it must not become
markup, mention anybody, or hide text: values stand in code, where Markdown and HTML mean nothing.
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
    """A text that is not ours."""

    text: str


# Words of ours and values of others, one after the other.
Text = tuple[str | Value, ...]


def fill(template: str, values: Mapping[str, object]) -> Text:
    """The template with each `{name}` replaced by the value of that name.

    Raises:
        KeyError: there is no such value.
    """
    return tuple(_parts(template, values))


def _parts(template: str, values: Mapping[str, object]) -> Iterator[str | Value]:
    for words, name, _, _ in string.Formatter().parse(template):
        if words:
            yield words
        if name is not None:
            yield Value(str(values[name]))


def markdown(text: Text) -> str:
    """For a comment, also inside a table."""
    return "".join(code(part.text) if isinstance(part, Value) else part for part in text)


def plain(text: Text) -> str:
    """For a terminal: no markup of ours, nothing of theirs that steers it."""
    return "".join(
        shortened(part.text) if isinstance(part, Value) else re.sub(r"\*\*", "", part)
        for part in text
    )


def code(value: str) -> str:
    """A value as a code span that it cannot leave, on one line, also inside a table."""
    shown = shortened(value)
    fence = "`" * (_longest_run(shown) + 1)
    edge = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{fence}{edge}{shown}{edge}{fence}".replace("|", "\\|")


def block(text: str, language: str = "") -> str:
    """A text of several lines as a block of code that it cannot leave."""
    clean = harmless(text).strip("\n")
    fence = "`" * max(3, _longest_run(clean) + 1)
    return f"{fence}{language}\n{clean}\n{fence}"


def shortened(value: str) -> str:
    """A value on one line, cut where it gets long."""
    line = " ".join(harmless(value).split())
    return line if len(line) <= LONGEST_VALUE else line[: LONGEST_VALUE - 1] + "…"


def harmless(text: str) -> str:
    """Without characters that steer a terminal, turn the reading direction or are not seen."""
    return "".join(
        character if character in "\n\t" or _visible(character) else "\N{REPLACEMENT CHARACTER}"
        for character in text.replace("\r\n", "\n")
    )


def joined(texts: Iterable[Text], between: str) -> Text:
    """All of them in a row."""
    found: list[str | Value] = []
    for text in texts:
        if found:
            found.append(between)
        found.extend(text)
    return tuple(found)


def _visible(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
