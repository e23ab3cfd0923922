"""The same for people at a terminal."""

from __future__ import annotations

import pytest

from ollamazure.review import terminal
from tests.unit.ollamazure.review.steps import command as changed
from tests.unit.ollamazure.review.steps import new_command, reviewed, script

pytestmark = pytest.mark.unit


def test_a_change_is_told_in_plain_words() -> None:
    said = [{"severity": "warning", "message": "warning: SSH is open\n"}]
    new = new_command("model-x")
    text = terminal.of_review("dev", reviewed(new, diagnostics=said))
    assert text.startswith("Stack dev: 1 added. Users are not interrupted.\n")
    assert "\nApplication\n  added model x (no interruption). It is downloaded" in text
    assert "\nWarning: SSH is open" in text


def test_no_value_steers_the_terminal_and_no_markup_is_left() -> None:
    path = "/etc/ollamazure/declared/user/a.json"
    old, new = (script({path: f'{{"name": "a", "state": "{s}"}}'}) for s in ("active", "deleted"))
    text = terminal.of_review("dev", reviewed(changed("user-\x1b[31ma", old, new)))
    assert "\x1b" not in text and "*" not in text
    assert "The account is deleted with all its chats." in text


def test_what_the_program_refuses_is_there_whole() -> None:
    said = [{"severity": "error", "message": "error: 1 setting to fix\n   Fix:      x\n"}]
    text = terminal.of_review("dev", reviewed(diagnostics=said))
    assert "cannot be applied" in text and "     Fix:      x" in text
    assert "Cost" not in text
