"""A review as a comment in Markdown, for GitHub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ollamazure.preview.output import PolicyViolation
from ollamazure.preview.text import block, code, markdown
from ollamazure.review import summary
from ollamazure.review.changes import Review
from ollamazure.review.summary import Note

# GitHub takes 65536 characters; the rest is for what surrounds the text.
LONGEST = 65000
LONGEST_SAID = 6000
_CUT = "… cut here: a comment holds no more. The whole: `make preview STACK={stack} DIFF=1`."


def marker(stack: str) -> str:
    """The first line, hidden; by it the comment of this stack is found and written anew."""
    return f"<!-- ollamazure preview: {stack} -->"


def of_review(stack: str, review: Review, notes: Sequence[Note] = ()) -> str:
    """The comment about a preview.

    Args:
        stack: its name.
        review: what the preview means.
        notes: on how it was made.
    """
    preview = review.preview
    broken = bool(preview.errors and not preview.violations)
    parts = [
        _head(stack, summary.headline(review)),
        *_notes(notes),
        *_said("The program says:", preview.errors),
        *_violations(preview.violations),
        # A preview that broke off has told only a part.
        *([] if broken else [*_table(review), *_cost(review)]),
        *_said("Warnings of the program:", preview.warnings),
        *_minor(notes),
    ]
    return _with_difference(stack, "\n\n".join(parts), preview.diff)


def of_failure(stack: str, headline: str, said: str, notes: Sequence[Note] = ()) -> str:
    """The comment where there is no preview to tell of.

    Args:
        stack: its name.
        headline: what went wrong, in a sentence of ours.
        said: what the failing part printed; may be empty.
        notes: as in `of_review`.
    """
    parts = [
        _head(stack, headline),
        *_said("It says:", [said] if said else []),
        *_notes(notes),
        *_minor(notes),
    ]
    return "\n\n".join(parts) + "\n"


def _head(stack: str, headline: str) -> str:
    return f"{marker(stack)}\n### Stack {code(stack)}\n\n**{headline}**"


def _table(review: Review) -> Iterator[str]:
    found = summary.rows(review)
    if not found:
        return
    lines = ["| layer | | what | what it means | users notice |", "|---|---|---|---|---|"]
    for row in found[: summary.MOST_ROWS]:
        notice = f"**{row.notice}**" if row.effect == "data" else row.notice
        what, meaning = markdown(row.what), markdown(row.meaning)
        lines.append(f"| {row.layer} | {row.action} | {what} | {meaning} | {notice} |")
    yield "\n".join(lines)
    if len(found) > summary.MOST_ROWS:
        yield f"And {len(found) - summary.MOST_ROWS} more rows; the difference below has them all."
    if review.checked:
        yield summary.CHECKED


def _cost(review: Review) -> Iterator[str]:
    yield f"**Cost:** {markdown(summary.cost(review))}."


def _violations(violations: Sequence[PolicyViolation]) -> Iterator[str]:
    if not violations:
        return
    yield "**Policies that are not kept:**"
    for violation in violations:
        weight = "refuses" if violation.mandatory else "advises against"
        what = code(violation.resource or "the stack")
        yield from _said(f"{code(violation.policy)} {weight} {what}:", [violation.message])


def _said(title: str, messages: Sequence[str]) -> Iterator[str]:
    if messages:
        text = "\n\n".join(messages)
        if len(text) > LONGEST_SAID:
            text = text[:LONGEST_SAID] + "\n…"
        yield f"{title}\n\n{block(text, 'text')}"


def _notes(notes: Sequence[Note]) -> Iterator[str]:
    for note in notes:
        if not note.minor:
            yield markdown(note.text)
            yield from _said("It says:", [note.said] if note.said else [])


def _minor(notes: Sequence[Note]) -> Iterator[str]:
    for note in notes:
        if note.minor:
            yield f"<sub>{markdown(note.text)}</sub>"


def _with_difference(stack: str, text: str, diff: str) -> str:
    if not diff.strip():
        return text + "\n"
    before = f"{text}\n\n<details>\n<summary>The whole difference, in Pulumi's words</summary>\n\n"
    after = "\n\n</details>\n"
    return before + _fitting(stack, _marked(diff), LONGEST - len(before) - len(after)) + after


def _fitting(stack: str, diff: str, room: int) -> str:
    """As much of the difference as there is room for, whole lines."""
    shown = block(diff, "diff")
    if len(shown) <= room:
        return shown
    # The fence may be as long as the longest run of backticks, at both ends.
    fence = 2 * len(shown.split("diff\n", 1)[0])
    cut = _CUT.format(stack=stack)
    end = diff.rfind("\n", 0, max(0, room - fence - len(cut) - 20))
    return f"{block(diff[: max(0, end)], 'diff')}\n\n{cut}"


def _marked(diff: str) -> str:
    """The marks of a difference in the first column, where they get their colours."""
    colours = {"+": "+", "-": "-", "~": "!", "+-": "!"}
    return re.sub(
        r"^( +)(\+-|[+~-])(?=[ \w])",
        lambda found: colours[found[2]] + found[1] + found[2],
        diff,
        flags=re.M,
    )
