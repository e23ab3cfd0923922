"""A review as plain text, for `make preview`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent, wrap

from ollamazure.preview.text import mask_control_characters, plain
from ollamazure.review import summary
from ollamazure.review.changes import Review
from ollamazure.review.summary import Note

WIDTH = 100


def of_review(stack: str, review: Review, notes: Sequence[Note] = ()) -> str:
    """The review for people at a terminal; see `comment.of_review`."""
    return "\n".join(_lines(stack, review, notes))


def _lines(stack: str, review: Review, notes: Sequence[Note]) -> Iterator[str]:
    preview = review.preview
    yield f"Stack {stack}: {summary.headline(review)}"
    for message in preview.errors:
        yield from ("", indent(mask_control_characters(message), "  "))
    for violation in preview.violations:
        level = "mandatory" if violation.mandatory else "advisory"
        yield f"  policy {violation.policy} ({level}) {violation.resource}:"
        yield indent(mask_control_characters(violation.message), "    ")
    layer = ""
    for row in summary.rows(review):
        if row.layer != layer:
            layer = row.layer
            yield from ("", layer)
        yield from wrap(
            f"{row.action} {plain(row.what)} ({row.notice}). {plain(row.meaning)}".rstrip(),
            WIDTH,
            initial_indent="  ",
            subsequent_indent="      ",
        )
    yield ""
    if not preview.errors:
        yield from wrap(f"Cost: {plain(summary.cost(review))}.", WIDTH)
    if review.checked:
        yield from wrap(summary.CHECKED, WIDTH)
    for message in preview.warnings:
        yield from wrap(
            f"Warning: {mask_control_characters(message)}", WIDTH, subsequent_indent="  "
        )
    for note in notes:
        yield from wrap(plain(note.text), WIDTH)
        if note.said:
            yield indent(mask_control_characters(note.said), "  ")
