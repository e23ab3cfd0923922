"""The contents of every form of a review: headline, rows of the table, cost, notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ollamazure import catalog
from ollamazure.preview.text import Text, Value, join
from ollamazure.review.changes import Change, Review
from ollamazure.review.rules import Action, Effect, Layer, load_table

LAYERS: dict[Layer, str] = {
    "cloud": "Cloud",
    "machine": "Machine",
    "application": "Application",
}
ACTIONS: Sequence[Action] = ("removed", "replaced", "changed", "added")
MOST_NAMES = 10
MOST_ROWS = 60
MODEL = "command:remote:Command::model-*"  # in rules.yaml
CHECKED = "At the end, each model must answer a question; otherwise the deployment fails."


@dataclass(frozen=True)
class Row:
    """Changes that share a row of the table.

    Attributes:
        layer: for example Cloud.
        action: what happens.
        what: the names of the resources.
        meaning: sentences that explain it.
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
    """A sentence on how a review was made.

    Attributes:
        text: the sentence.
        printed: what a program printed about it.
        minor: it is shown at the end, in small print.
    """

    text: Text
    printed: str = ""
    minor: bool = False


def write_headline(review: Review) -> str:
    """The most important sentences, for a reader who reads no further."""
    if review.preview.errors or any(v.mandatory for v in review.preview.violations):
        return "This change cannot be deployed: read the messages below."
    if review.scope == "nothing":
        return "Nothing changes."
    alarms = [*dict.fromkeys(alarm for change in review.changes for alarm in change.alarms)]
    if review.scope == "everything new":
        return " ".join(["This creates a new environment.", *alarms])
    words = load_table().effects[review.effect].headline
    if review.scope == "everything removed":
        kept = "The data disk stays in Azure with all chats, files and models."
        return f"The environment is destroyed. {words if review.effect == 'data' else kept}"
    if review.effect != "unknown" and any(c.effect == "unknown" for c in review.changes):
        alarms.append("Some effects are not known: read the difference below.")
    return " ".join([f"{_count_actions(review.changes)}.", words, *alarms])


def _count_actions(changes: Sequence[Change]) -> str:
    counts: list[tuple[int, str]] = [
        (sum(change.action == action and not change.rerun for change in changes), action)
        for action in ACTIONS
    ]
    counts.append((sum(change.rerun for change in changes), "set up again"))
    return ", ".join(f"{count} {words}" for count, words in counts if count)


def make_rows(review: Review) -> list[Row]:
    """The rows of the table, worst first within each layer."""
    order = list(LAYERS.values())
    return sorted(
        _combine_changes(review),
        key=lambda row: (order.index(row.layer), -load_table().rank(row.effect)),
    )


def _combine_changes(review: Review) -> Iterator[Row]:
    if review.scope == "everything new":
        yield from _rows_by_layer(review.changes, ("They are created.",), "no users yet")
    elif review.scope == "everything removed":
        notable = [change for change in review.changes if change.kept or change.effect == "data"]
        rest = [change for change in review.changes if change not in notable]
        yield from _rows_by_meaning(notable)
        yield from _rows_by_layer(rest, ("They are deleted.",), "the chat no longer exists")
    else:
        yield from _rows_by_meaning([change for change in review.changes if not change.rerun])
        yield from _rows_of_reruns([change for change in review.changes if change.rerun])


def _rows_by_layer(
    changes: Sequence[Change], meaning: Text, notice: str, effect: Effect = "none"
) -> Iterator[Row]:
    for layer, words in LAYERS.items():
        of_layer = [change for change in changes if change.layer == layer]
        if of_layer:
            what = join((_name(group) for group in _group(of_layer)), ", ")
            yield Row(words, of_layer[0].action, what, meaning, notice, effect)


def _rows_by_meaning(changes: Sequence[Change]) -> Iterator[Row]:
    for group in _group(changes):
        first = group[0]
        yield Row(
            LAYERS[first.layer],
            first.action,
            _name(group),
            join(first.meaning, " "),
            load_table().effects[first.effect].short,
            first.effect,
        )


def _rows_of_reruns(changes: Sequence[Change]) -> Iterator[Row]:
    """Commands that only run again share a row if they do so for the same reason."""
    for meaning in dict.fromkeys(change.meaning for change in changes):
        alike = [change for change in changes if change.meaning == meaning]
        effect = alike[0].effect
        notice = load_table().effects[effect].short
        yield from _rows_by_layer(alike, join(meaning, " "), notice, effect)


def _group(changes: Iterable[Change]) -> list[list[Change]]:
    """Changes of resources of one kind that mean the same."""
    groups: dict[object, list[Change]] = {}
    for change in changes:
        key = (change.resource.match, change.action, change.meaning, change.effect)
        groups.setdefault(key, []).append(change)
    return list(groups.values())


def _name(group: Sequence[Change]) -> Text:
    first = group[0]
    if len(group) == 1 or first.resource.plural is None:
        return first.title
    names = join(((Value(change.item),) for change in group[:MOST_NAMES]), ", ")
    more = len(group) - MOST_NAMES
    rest = (f" and {more} more",) if more > 0 else ()
    return (f"{len(group)} {first.resource.plural}: ", *names, *rest)


def describe_licences(review: Review) -> list[Text]:
    """The licences of the models that are added, with the restrictions on their use."""
    added = [
        change.item
        for change in review.changes
        if change.resource.match == MODEL and change.action == "added"
    ]
    by_licence: dict[str, list[str]] = {}
    for name in added:
        by_licence.setdefault(catalog.describe_licence(name), []).append(name)
    return [
        (*join(((Value(name),) for name in names[:MOST_NAMES]), ", "), f": {licence.rstrip('.')}.")
        for licence, names in by_licence.items()
    ]


def describe_cost(review: Review) -> Text:
    """What a month costs, before and after."""
    cost = review.cost
    if review.scope == "everything removed" and cost.before is not None:
        kept = any(change.kept for change in review.changes)
        but = ", but the resources that are kept still cost money" if kept else ""
        return (f"about {cost.before:.0f} {cost.currency} a month less{but}", *cost.basis)
    if cost.after is None:
        return ("not known",)
    after = f"about {cost.after:.0f} {cost.currency} a month"
    if cost.before is None:
        former = "" if review.scope == "everything new" else "; the former cost is not known"
        return (f"{after}{former}", *cost.basis)
    if not cost.difference:
        return (f"{after}, as before", *cost.basis)
    return (
        f"about {cost.before:.0f} {cost.currency} a month before, {cost.after:.0f} after: "
        f"**{cost.difference:+.0f} {cost.currency} a month**",
        *cost.basis,
    )
