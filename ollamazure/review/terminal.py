"""A review as plain text, for `bin/ollamazure preview`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent, wrap

from ollamazure.preview.text import mask_control_characters, plain
from ollamazure.review import summary
from ollamazure.review.changes import Review
from ollamazure.review.summary import Note, Row

WIDTH = 100


def format_review(stack: str, review: Review, notes: Sequence[Note] = ()) -> str:
    """The review for a terminal; the arguments are those of `comment.format_review`."""
    return "\n".join(
        [
            f"Stack {stack}: {summary.write_headline(review)}",
            *_format_refusals(review),
            *_format_rows(summary.make_rows(review)),
            "",
            *_format_end(review),
            *_format_notes(notes),
        ]
    )


def _format_refusals(review: Review) -> Iterator[str]:
    for message in review.preview.errors:
        yield from ("", indent(mask_control_characters(message), "  "))
    for violation in review.preview.violations:
        level = "mandatory" if violation.mandatory else "advisory"
        yield f"  policy {violation.policy} ({level}) {violation.resource}:"
        yield indent(mask_control_characters(violation.message), "    ")


def _format_rows(rows: Sequence[Row]) -> Iterator[str]:
    layer = ""
    for row in rows:
        if row.layer != layer:
            layer = row.layer
            yield from ("", layer)
        yield from wrap(
            f"{row.action} {plain(row.what)} ({row.notice}). {plain(row.meaning)}".rstrip(),
            WIDTH,
            initial_indent="  ",
            subsequent_indent="      ",
        )


def _format_end(review: Review) -> Iterator[str]:
    if not review.preview.errors:
        for licence in summary.describe_licences(review):
            yield from wrap(f"Licence of {plain(licence)}", WIDTH)
        yield from wrap(f"Cost: {plain(summary.describe_cost(review))}.", WIDTH)
    if review.checked:
        yield from wrap(summary.CHECKED, WIDTH)
    for message in review.preview.warnings:
        warning = f"Warning: {mask_control_characters(message)}"
        yield from wrap(warning, WIDTH, subsequent_indent="  ")


def _format_notes(notes: Sequence[Note]) -> Iterator[str]:
    for note in notes:
        yield from wrap(plain(note.text), WIDTH)
        if note.printed:
            yield indent(mask_control_characters(note.printed), "  ")
