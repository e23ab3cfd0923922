"""What a stack says of itself: its outputs, and the operator's page made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pulumi


def operator_page(values: Mapping[str, pulumi.Input[Any]]) -> pulumi.Output[str]:
    """The page for `pulumi stack output readme`, in Markdown; holds no secret."""
    return pulumi.Output.all(**values).apply(render_operator_page)


def render_operator_page(values: Mapping[str, Any]) -> str:
    """The operator's page with all values known.

    Raises:
        jinja2.UndefinedError: the page names a value that is not there.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML
    )
    return environment.get_template("operator.md.j2").render(values)


def ssh_command(user: str, address: pulumi.Input[str]) -> pulumi.Output[str]:
    """How an operator signs in, with the private key saved as chat.key."""
    return pulumi.Output.concat("ssh -i chat.key ", user, "@", address)
