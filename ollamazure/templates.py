"""Renders the project's Jinja templates, all of them with the same rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

PROJECT = Path(__file__).resolve().parents[1]

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(PROJECT),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    # A line that contains only a {% tag %} adds no line to the result.
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701  configuration files, shell and Markdown, never HTML
)


def render_template(name: str, **values: Any) -> str:
    """The template's text with all values filled in.

    Args:
        name: the path from the project's folder, for example `components/operator.md.j2`.
        values: what the template uses.

    Raises:
        jinja2.TemplateNotFound: there is no such template.
        jinja2.UndefinedError: the template uses a value that is missing.
    """
    return _ENVIRONMENT.get_template(name).render(values)


def render_text(text: str, **values: Any) -> str:
    """The text of a template with all values filled in; raises jinja2.UndefinedError as above."""
    return _ENVIRONMENT.from_string(text).render(values)
