"""What every form of a review shows: one headline, rows, the cost, what was said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ollamazure.preview.text import Text, Value, join
from ollamazure.review.changes import Change, Review
from ollamazure.review.rules import Action, Effect, Layer, table

LAYERS: dict[Layer, str] = {
    "cloud": "Cloud",
    "machine": "Machine",
    "application": "Application",
}
ACTIONS: Sequence[Action] = ("removed", "replaced", "changed", "added")
MOST_NAMES = 10
MOST_ROWS = 60
CHECKED = "When all is done, each model is asked a question; only its answer ends the deployment."


@dataclass(frozen=True)
class Row:
    """Changes that are told together.

    Attributes:
        layer: for example Cloud.
        action: what happens.
        what: to which.
        meaning: for the reader.
        notice: what users notice.
        effect: the same as a word of rules.yaml.
    """

    layer: str
    action: str
    what: Text
    meaning: Text
    notice: str
    effect: Effect


@dataclass(frozen=True)
class Note:
    """A sentence on how a review came about.

    Attributes:
        text: the sentence.
        said: what somebody printed about it.
        minor: it belongs at the end.
    """

    text: Text
    said: str = ""
    minor: bool = False


def headline(review: Review) -> str:
    """The one sentence for somebody in a hurry."""
    if review.preview.errors or any(v.mandatory for v in review.preview.violations):
        return "This cannot be applied as it is: see what is said below."
    if review.kind == "nothing":
        return "Nothing changes."
    alarms = [*dict.fromkeys(alarm for change in review.changes for alarm in change.alarms)]
    if review.kind == "everything new":
        return " ".join(["A new environment: nothing of it exists yet.", *alarms])
    words = table().effects[review.effect].headline
    if review.kind == "everything removed":
        kept = "The data disk stays in Azure with all chats, files and models."
        return f"The environment is destroyed. {words if review.effect == 'data' else kept}"
    if review.effect != "unknown" and any(c.effect == "unknown" for c in review.changes):
        alarms.append("Not all of it is known: read the difference below.")
    return " ".join([f"{_counts(review.changes)}.", words, *alarms])


def _counts(changes: Sequence[Change]) -> str:
    counted: dict[str, int] = {
        action: sum(change.action == action and not change.again for change in changes)
        for action in ACTIONS
    }
    counted_all = {**counted, "set up again": sum(change.again for change in changes)}
    return ", ".join(f"{count} {words}" for words, count in counted_all.items() if count)


def rows(review: Review) -> list[Row]:
    """The table, worst first within each layer."""
    told = _together(review)
    order = list(LAYERS.values())
    return sorted(told, key=lambda row: (order.index(row.layer), -table().rank(row.effect)))


def _together(review: Review) -> Iterator[Row]:
    if review.kind == "everything new":
        yield from _by_layer(review.changes, ("They are made.",), "nobody uses it yet")
        return
    if review.kind == "everything removed":
        told = [change for change in review.changes if change.kept or change.effect == "data"]
        rest = [change for change in review.changes if change not in told]
        yield from _groups(told)
        yield from _by_layer(rest, ("They are deleted.",), "the chat is gone")
        return
    yield from _groups([change for change in review.changes if not change.again])
    yield from _again([change for change in review.changes if change.again])


def _by_layer(
    changes: Sequence[Change], meaning: Text, notice: str, effect: Effect = "none"
) -> Iterator[Row]:
    for layer, words in LAYERS.items():
        of_layer = [change for change in changes if change.layer == layer]
        if of_layer:
            what = join((_what(group) for group in _grouped(of_layer)), ", ")
            yield Row(words, of_layer[0].action, what, meaning, notice, effect)


def _groups(changes: Sequence[Change]) -> Iterator[Row]:
    for group in _grouped(changes):
        first = group[0]
        yield Row(
            LAYERS[first.layer],
            first.action,
            _what(group),
            join(first.meaning, " "),
            table().effects[first.effect].short,
            first.effect,
        )


def _again(changes: Sequence[Change]) -> Iterator[Row]:
    """Commands that only run again, those with one reason together."""
    for meaning in dict.fromkeys(change.meaning for change in changes):
        alike = [change for change in changes if change.meaning == meaning]
        effect = alike[0].effect
        yield from _by_layer(alike, join(meaning, " "), table().effects[effect].short, effect)


def _grouped(changes: Iterable[Change]) -> list[list[Change]]:
    """Changes that say the same of resources of one kind."""
    groups: dict[object, list[Change]] = {}
    for change in changes:
        key = (change.resource.match, change.action, change.meaning, change.effect)
        groups.setdefault(key, []).append(change)
    return list(groups.values())


def _what(group: Sequence[Change]) -> Text:
    first = group[0]
    if len(group) == 1 or first.resource.plural is None:
        return first.title
    names = join(((Value(change.item),) for change in group[:MOST_NAMES]), ", ")
    more = len(group) - MOST_NAMES
    rest = (f" and {more} more",) if more > 0 else ()
    return (f"{len(group)} {first.resource.plural}: ", *names, *rest)


def cost(review: Review) -> Text:
    """What a month costs, before and after."""
    of = review.cost
    basis: Text = (" (", Value(of.basis), ")") if of.basis else ()
    if review.kind == "everything removed" and of.before is not None:
        kept = any(change.kept for change in review.changes)
        but = ", but what is kept goes on costing" if kept else ""
        return (f"about {of.before:.0f} {of.currency} a month less{but}", *basis)
    if of.after is None:
        return ("not known",)
    if of.before is None:
        return (f"about {of.after:.0f} {of.currency} a month", *basis)
    if not of.difference:
        return (f"about {of.after:.0f} {of.currency} a month, as before", *basis)
    return (
        f"about {of.before:.0f} {of.currency} a month before, {of.after:.0f} after: "
        f"**{of.difference:+.0f} {of.currency} a month**",
        *basis,
    )
