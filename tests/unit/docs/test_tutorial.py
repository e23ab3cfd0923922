"""How tests read a page of docs/tutorial/ and compare it; the pages: tests/engine, tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tutorial import TutorialStep, matches, read_steps, run_on_terminal

PAGE = """\
# A page

Some text with `code`.

    first command
    second command

```
shown
```

More text, and YAML that is not a command:

    third command
"""


def test_the_steps_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert read_steps(page) == [
        TutorialStep("first command", None),
        TutorialStep("second command", "shown"),
        TutorialStep("third command", None),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a  \nb\n\n", True),
        ("a\n…", "a\nb\nc\n", True),
        ("a\n…", "a\n", True),
        ("…\nc", "a\nb\nc\n", True),
        ("at https://127.…", "at https://127.0.0.1\n", True),
        ("a (b)", "a (b)", True),
        ("a.c", "abc", False),
        ("a\nb", "a\nb\nc\n", False),
        ("…\nc", "a\nb\n", False),
        ("a … c", "a b\nc", False),
    ],
)
def test_what_varies_is_left_out(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) == same


def test_a_command_has_a_terminal_and_cannot_ask(tmp_path: Path) -> None:
    script = 'test -t 1 && echo "$TERM $word"; read -r answer || exit 3'
    code, printed = run_on_terminal(script, tmp_path, {"word": "given"})
    assert (code, printed) == (3, "dumb given\n")
