"""The question before a command changes something."""

from __future__ import annotations


def is_agreed(question: str = "Go on?") -> bool:
    """Whether the operator answers yes; anything else, also nothing, is a no."""
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
