"""A review as a comment in Markdown, for GitHub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ollamazure.preview.output import PolicyViolation
from ollamazure.preview.text import block, code, markdown
from ollamazure.review import summary
from ollamazure.review.changes import Review
from ollamazure.review.summary import Note

# GitHub allows 65536 characters; the rest is for what surrounds the text.
LONGEST = 65000
LONGEST_MESSAGE = 6000
NO_PREVIEW = "The program could not be previewed."
_CUT = (
    "… cut off here, because a comment cannot be longer. "
    "`bin/ollamazure preview --stack {stack} --diff` prints all of it."
)


def format_marker(stack: str) -> str:
    """The hidden first line, by which a workflow finds the comment of this stack to replace it."""
    return f"<!-- ollamazure preview: {stack} -->"


def format_review(stack: str, review: Review, notes: Sequence[Note] = ()) -> str:
    """The comment about a preview.

    Args:
        stack: its name.
        review: what the preview means.
        notes: on how it was made.
    """
    preview = review.preview
    # A preview that ended early shows only some of the changes.
    incomplete = bool(preview.errors and not preview.violations)
    parts = [
        _format_head(stack, summary.write_headline(review)),
        *_format_notes(notes),
        *_format_messages("The program reports:", preview.errors),
        *_format_violations(preview.violations),
        *(
            []
            if incomplete
            else [*_format_table(review), *_format_licences(review), _format_cost(review)]
        ),
        *_format_messages("Warnings of the program:", preview.warnings),
        *_format_footnotes(notes),
    ]
    return _append_difference(stack, "\n\n".join(parts), preview.diff)


def format_failure(stack: str, headline: str, printed: str, notes: Sequence[Note] = ()) -> str:
    """The comment if there is no preview.

    Args:
        stack: its name.
        headline: a sentence that says what went wrong.
        printed: what the failed program printed; may be empty.
        notes: as in `format_review`.
    """
    parts = [
        _format_head(stack, headline),
        *_format_messages("It printed:", [printed] if printed else []),
        *_format_notes(notes),
        *_format_footnotes(notes),
    ]
    return "\n\n".join(parts) + "\n"


def _format_head(stack: str, headline: str) -> str:
    return f"{format_marker(stack)}\n### Stack {code(stack)}\n\n**{headline}**"


def _format_table(review: Review) -> Iterator[str]:
    rows = summary.make_rows(review)
    if not rows:
        return
    lines = ["| layer | | what | what it means | users notice |", "|---|---|---|---|---|"]
    for row in rows[: summary.MOST_ROWS]:
        notice = f"**{row.notice}**" if row.effect == "data" else row.notice
        what, meaning = markdown(row.what), markdown(row.meaning)
        lines.append(f"| {row.layer} | {row.action} | {what} | {meaning} | {notice} |")
    yield "\n".join(lines)
    if len(rows) > summary.MOST_ROWS:
        yield f"The difference below shows {len(rows) - summary.MOST_ROWS} more changes."
    if review.checked:
        yield summary.CHECKED


def _format_licences(review: Review) -> Iterator[str]:
    for licence in summary.describe_licences(review):
        yield f"**Licence** of {markdown(licence)}"


def _format_cost(review: Review) -> str:
    return f"**Cost:** {markdown(summary.describe_cost(review))}."


def _format_violations(violations: Sequence[PolicyViolation]) -> Iterator[str]:
    if not violations:
        return
    yield "**The change breaks these policies:**"
    for violation in violations:
        verb = "refuses" if violation.mandatory else "advises against"
        what = code(violation.resource or "the stack")
        yield from _format_messages(f"{code(violation.policy)} {verb} {what}:", [violation.message])


def _format_messages(title: str, messages: Sequence[str]) -> Iterator[str]:
    if messages:
        text = "\n\n".join(messages)
        if len(text) > LONGEST_MESSAGE:
            text = text[:LONGEST_MESSAGE] + "\n…"
        yield f"{title}\n\n{block(text, 'text')}"


def _format_notes(notes: Sequence[Note]) -> Iterator[str]:
    for note in notes:
        if not note.minor:
            yield markdown(note.text)
            yield from _format_messages("It printed:", [note.printed] if note.printed else [])


def _format_footnotes(notes: Sequence[Note]) -> Iterator[str]:
    for note in notes:
        if note.minor:
            yield f"<sub>{markdown(note.text)}</sub>"


def _append_difference(stack: str, text: str, diff: str) -> str:
    if not diff.strip():
        return text + "\n"
    before = (
        f"{text}\n\n<details>\n<summary>The whole difference, as Pulumi prints it</summary>\n\n"
    )
    after = "\n\n</details>\n"
    return before + _fit(stack, _mark_colours(diff), LONGEST - len(before) - len(after)) + after


def _fit(stack: str, diff: str, room: int) -> str:
    """As many whole lines of the difference as there is room for."""
    shown = block(diff, "diff")
    if len(shown) <= room:
        return shown
    # The fence may be as long as the longest run of backticks, at both ends.
    fence = 2 * len(shown.split("diff\n", 1)[0])
    cut = _CUT.format(stack=stack)
    end = diff.rfind("\n", 0, max(0, room - fence - len(cut) - 20))
    return f"{block(diff[: max(0, end)], 'diff')}\n\n{cut}"


def _mark_colours(diff: str) -> str:
    """The difference with each mark in the first column, where GitHub colours the line."""
    colours = {"+": "+", "-": "-", "~": "!", "+-": "!"}
    return re.sub(
        r"^( +)(\+-|[+~-])(?=[ \w])",
        lambda found: colours[found[2]] + found[1] + found[2],
        diff,
        flags=re.M,
    )
