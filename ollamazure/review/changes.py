"""Explains a preview: for each change its layer, the action, its meaning and what users notice."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ollamazure.preview.output import STACK_TYPE, PreviewError, PreviewOutput, PreviewStep
from ollamazure.preview.text import Text, fill
from ollamazure.review.aspects import KEPT, changes_protection, find_aspects, read_part
from ollamazure.review.cost import Cost
from ollamazure.review.explain import EXPLANATIONS, Difference, Sentence
from ollamazure.review.rules import (
    Action,
    Effect,
    Layer,
    ReviewedResource,
    ReviewRule,
    load_table,
)

MOST_SENTENCES = 8
MACHINE_TYPE = "azure-native:compute:VirtualMachine"

Scope = Literal["nothing", "changes", "everything new", "everything removed"]


@dataclass(frozen=True)
class Change:
    """One resource that changes.

    Attributes:
        layer: the part of the system that it belongs to.
        action: what happens to it.
        resource: its kind.
        item: its own name, for example the address of a user.
        title: its name for readers.
        meaning: sentences that explain the change.
        effect: what users notice.
        rerun: the command only runs again, for example on a new machine.
        kept: Pulumi removes it from the stack, and it stays in the cloud.
        alarms: sentences that the headline repeats.
    """

    layer: Layer
    action: Action
    resource: ReviewedResource
    item: str
    title: Text
    meaning: tuple[Text, ...]
    effect: Effect
    rerun: bool = False
    kept: bool = False
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """What a preview means.

    Attributes:
        preview: the engine's output.
        scope: whether a part of the stack changes, or all of it comes or goes.
        changes: all but the last check.
        checked: the deployment ends with a question to each model.
        effect: the worst of all effects.
        cost: of a month, before and after.
    """

    preview: PreviewOutput
    scope: Scope
    changes: tuple[Change, ...]
    checked: bool
    effect: Effect
    cost: Cost


def review_preview(preview: PreviewOutput) -> Review:
    """Explain what a preview means.

    Raises:
        PreviewError: it has no result, or an operation that rules.yaml does not list.
    """
    if not (preview.steps or preview.errors or preview.violations):
        raise PreviewError("The preview lists neither resources nor errors.")
    steps = _last_steps(preview.steps)
    found = sorted(_find_changes(steps), key=_rank)
    changes = tuple(change for change in found if change.layer != "check")
    return Review(
        preview,
        _classify(steps, changes),
        changes,
        checked=any(c.layer == "check" and c.action != "removed" for c in found),
        effect=load_table().worst([change.effect for change in changes]),
        cost=Cost.read(preview.cost_before, preview.cost_after),
    )


def _last_steps(steps: Sequence[PreviewStep]) -> list[PreviewStep]:
    """The last step of each resource that counts.

    With `--refresh`, an earlier step may only say how the cloud differed from the state. The two
    halves of a replacement add nothing to it.
    """
    last: dict[str, PreviewStep] = {}
    for step in steps:
        if _action_of(step) or step.op == "same":
            last[step.urn] = step
    return list(last.values())


def _action_of(step: PreviewStep) -> Action | None:
    operations = load_table().operations
    if step.op not in operations:
        raise PreviewError(
            f"The preview has the operation {step.op!r} for {step.type} {step.name!r}, which is "
            "not in `operations` of ollamazure/review/rules.yaml. Add it there with its meaning."
        )
    return operations[step.op]


def _rank(change: Change) -> tuple[int, str]:
    """The order of the table: the engine's order differs from run to run."""
    return load_table().resources.index(change.resource), change.item


def _classify(steps: Sequence[PreviewStep], changes: Sequence[Change]) -> Scope:
    if not changes:
        return "nothing"
    operation = next((step.op for step in steps if step.type == STACK_TYPE), None)
    if operation == "create":
        return "everything new"
    return "everything removed" if operation == "delete" else "changes"


def _find_changes(steps: Sequence[PreviewStep]) -> Iterator[Change]:
    new_machine = any(
        step.type == MACHINE_TYPE and _action_of(step) in ("added", "replaced") for step in steps
    )
    for step in steps:
        action = _action_of(step)
        resource = load_table().find_resource(step.type, step.name)
        if resource.layer != "none" and (action or changes_protection(step)):
            aspects = find_aspects(step, action, new_machine)
            yield _explain_step(step, action or "changed", resource, aspects)


@dataclass(frozen=True)
class _Match:
    """An aspect of a step with the rule that explains it, and the values for its sentence."""

    aspect: str
    rule: ReviewRule
    values: dict[str, str]


def _explain_step(
    step: PreviewStep, action: Action, resource: ReviewedResource, aspects: Sequence[str]
) -> Change:
    item = _item_of(step, resource)
    matches = [_find_rule(step, action, resource, aspect) for aspect in aspects]
    sentences = [
        sentence for match in matches for sentence in _write_sentences(step, match, item, matches)
    ]
    effects = [match.rule.effect for match in matches]
    effects += [sentence.effect for sentence in sentences if sentence.effect]
    return Change(
        resource.layer,
        action,
        resource,
        item,
        fill(resource.title, {"item": item, "type": step.type}),
        _limit([*dict.fromkeys(sentence.text for sentence in sentences)]),
        load_table().worst(effects),
        rerun=all(match.rule.rerun for match in matches),
        kept=KEPT in aspects,
        alarms=tuple(sentence.alarm for sentence in sentences if sentence.alarm),
    )


def _item_of(step: PreviewStep, resource: ReviewedResource) -> str:
    """Its own name: as the command that removes it writes it, else the end of its Pulumi name."""
    if resource.item:
        for state in filter(None, (step.new, step.old)):
            if found := re.search(resource.item, str(state.inputs.get("delete"))):
                return "".join(shlex.split(found[1]))
    prefix = resource.match.rpartition("::")[2].rstrip("*")
    return step.name.removeprefix(prefix)


_NO_RULE = ReviewRule(
    when="*",
    effect="unknown",
    means="The effect of this change ({path}) is not known; read the difference.",
    why="no rule covers it",
)


def _find_rule(
    step: PreviewStep, action: Action, resource: ReviewedResource, aspect: str
) -> _Match:
    """The first rule that applies to an aspect."""
    for rule in (*load_table().always, *resource.changes):
        if rule.matches(action, aspect):
            values = _read_values(step, rule, aspect)
            if values is not None:
                return _Match(aspect, rule, values)
    return _Match(aspect, _NO_RULE, {"path": aspect or action})


def _read_values(step: PreviewStep, rule: ReviewRule, aspect: str) -> dict[str, str] | None:
    """{before}, {after} and {path}; None if a rule reads two values that are equal."""
    path = aspect.removeprefix("file:")
    if rule.reads is None:
        before, after = (state.value(aspect) if state else None for state in (step.old, step.new))
        return {"before": str(before), "after": str(after), "path": path}
    found = [re.search(rule.reads, part) for part in read_part(step, aspect)]
    before, after = (match[1] if match else "" for match in found)
    return {"before": before, "after": after, "path": path} if before != after else None


def _write_sentences(
    step: PreviewStep, match: _Match, item: str, matches: Sequence[_Match]
) -> Iterator[Sentence]:
    if match.rule.means:
        # One sentence names all paths that the same rule explains.
        path = ", ".join(other.values["path"] for other in matches if other.rule is match.rule)
        yield Sentence(fill(match.rule.means, {**match.values, "item": item, "path": path}))
    if match.rule.explain:
        difference = Difference(step.old, step.new, *read_part(step, match.aspect))
        yield from EXPLANATIONS[match.rule.explain](difference)


def _limit(meaning: Sequence[Text]) -> tuple[Text, ...]:
    more = len(meaning) - MOST_SENTENCES
    if more <= 0:
        return tuple(meaning)
    return (*meaning[:MOST_SENTENCES], (f"The difference below shows {more} more.",))
