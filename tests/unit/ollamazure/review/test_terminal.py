"""The review for a terminal."""

from __future__ import annotations

import pytest

from ollamazure.review import terminal
from tests.unit.ollamazure.review.steps import command as changed
from tests.unit.ollamazure.review.steps import new_command, reviewed, script

pytestmark = pytest.mark.unit


def test_a_change_is_explained_in_plain_words() -> None:
    diagnostics = [{"severity": "warning", "message": "warning: SSH is open\n"}]
    new = new_command("model-x")
    text = terminal.format_review("dev", reviewed(new, diagnostics=diagnostics))
    assert text.startswith("Stack dev: 1 added. Users are not interrupted.\n")
    assert "\nApplication\n  added model x (no interruption). It is downloaded" in text
    assert "\nLicence of x: not in the catalog" in text
    assert "\nWarning: SSH is open" in text


def test_values_cannot_control_the_terminal_and_markup_is_removed() -> None:
    path = "/etc/ollamazure/declared/user/a.json"
    old, new = (script({path: f'{{"name": "a", "state": "{s}"}}'}) for s in ("active", "deleted"))
    text = terminal.format_review("dev", reviewed(changed("user-\x1b[31ma", old, new)))
    assert "\x1b" not in text and "*" not in text
    assert "The account and all its chats are deleted." in text


def test_an_error_of_the_program_is_printed_in_full() -> None:
    diagnostics = [{"severity": "error", "message": "error: 1 setting to fix\n   Fix:      x\n"}]
    text = terminal.format_review("dev", reviewed(diagnostics=diagnostics))
    assert "cannot be deployed" in text and "     Fix:      x" in text
    assert "Cost" not in text
