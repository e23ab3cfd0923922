"""The comment fits into GitHub's limits, and values cannot become markup in it."""

from __future__ import annotations

import re

import pytest

from ollamazure.preview.text import LONGEST_VALUE, block, code, mask_control_characters, shorten
from ollamazure.review import comment, from_files
from tests.unit.ollamazure.review.record import CHANGES, RECORDED, render
from tests.unit.ollamazure.review.steps import COMMAND, command, printed, reviewed, script, step

pytestmark = pytest.mark.unit

EVIL = "``` </details> @octocat <script>alert(1)</script> | ![x](https://evil.example/x) `` #1"


def outside_code(text: str) -> str:
    """The text without its code: what Markdown interprets."""
    without_blocks = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.M | re.S)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", without_blocks)


def test_the_first_line_finds_the_comment_again() -> None:
    assert comment.format_review("dev", reviewed()).startswith("<!-- ollamazure preview: dev -->\n")
    assert comment.format_failure("dev", "No.", "").startswith("<!-- ollamazure preview: dev -->\n")


@pytest.mark.parametrize("where", ["warning", "error"])
def test_a_message_of_the_program_cannot_leave_its_block(where: str) -> None:
    diagnostics = [{"severity": where, "message": f"{where}: {EVIL}\n{EVIL}"}]
    text = comment.format_review("dev", reviewed(diagnostics=diagnostics))
    assert EVIL in text
    for word in ("@octocat", "<script>", "evil.example", "</details>"):
        assert word not in outside_code(text)


def test_a_value_cannot_leave_its_cell() -> None:
    path = "/etc/ollamazure/declared/prompt/x.json"
    before, after = (script({path: f'{{"content": "{word}"}}'}) for word in ("a", EVIL))
    text = comment.format_review("dev", reviewed(command("prompt-x", before, after)))
    (row,) = [line for line in text.splitlines() if "prompt /" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6, "five cells"
    for word in ("@octocat", "<script>", "evil.example", "</details>"):
        assert word not in outside_code(text)


def test_the_difference_cannot_leave_its_fold() -> None:
    text = comment.format_review(
        "dev", reviewed(diff=f'  ~ stdin: "{EVIL}\n```\n</details>\n{EVIL}"')
    )
    assert outside_code(text).count("</details>") == 1
    assert text.endswith("\n</details>\n")
    assert "@octocat" not in outside_code(text)


@pytest.mark.parametrize("line", ["+ x" * 40, "`" * 500, "é" * 90])
def test_a_long_difference_is_cut_with_a_note(line: str) -> None:
    text = comment.format_review("dev", reviewed(diff=f"{line}\n" * 3000))
    assert len(text) <= comment.LONGEST
    assert "cut off here" in text and "bin/ollamazure preview --stack dev --diff" in text
    assert text.endswith("\n</details>\n")


def test_many_rows_and_long_messages_still_fit() -> None:
    people = [
        step("update", COMMAND, f"user-{n}@example.com", oldState={}, newState={},
             detailedDiff={f"stdin{n}": {}})
        for n in range(400)
    ]  # fmt: skip
    diagnostics = [{"severity": "warning", "message": "warning: " + "x" * 90000}]
    text = comment.format_review(
        "dev", reviewed(*people, diff="+ x\n" * 9000, diagnostics=diagnostics)
    )
    assert len(text) <= comment.LONGEST


def test_marks_are_in_the_first_column_for_colours() -> None:
    text = comment.format_review("dev", reviewed(diff="    + a\n    ~ b\n    +-c\n      d\n"))
    assert "\n+    + a\n!    ~ b\n!    +-c\n      d\n" in text


@pytest.mark.parametrize("text", ["a`b", "``", "`", "a", "", " x "])
def test_a_code_span_holds_any_backticks(text: str) -> None:
    found = re.fullmatch(r"(`+) ?(.*?) ?\1", code(text))
    assert found and found[2] == text.strip()
    assert found[1] not in found[2]


def test_unseen_characters_are_shown() -> None:
    assert (
        mask_control_characters("a\x1b[31m\u202eb\u200bc\x00") == "a\ufffd[31m\ufffdb\ufffdc\ufffd"
    )
    assert len(shorten("x" * 500)) == LONGEST_VALUE
    assert block("a\r\nb") == "```\na\nb\n```"


def test_the_command_writes_the_comment(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    given = tmp_path / "preview.json"
    given.write_text(printed(step("create", COMMAND, "model-x", newState={})))
    assert from_files.main(["--stack", "dev", "--preview", str(given)]) == 0
    assert "model `x`" in capsys.readouterr().out


def test_the_command_reports_that_there_is_no_preview(tmp_path) -> None:  # type: ignore[no-untyped-def]
    given, output = tmp_path / "preview.json", tmp_path / "comment.md"
    given.write_text("error: no stack `dev`")
    arguments = ["--stack", "dev", "--preview", str(given), "--output", str(output)]
    assert from_files.main(arguments) == 2
    assert "could not be previewed" in output.read_text() and "no stack" in output.read_text()


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_the_comment_about_a_recorded_change(name: str) -> None:
    """Changed words: `python -m tests.unit.ollamazure.review.record --render`."""
    assert render(name) == (RECORDED / f"{name}.md").read_text()


def test_every_recording_is_of_a_change() -> None:
    assert {file.stem for file in RECORDED.iterdir()} == set(CHANGES)
