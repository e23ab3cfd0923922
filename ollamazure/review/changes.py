"""What a preview means: each change with its layer, what happens, and what users notice."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ollamazure.preview.output import (
    SECRET,
    STACK_TYPE,
    UNKNOWN,
    PreviewError,
    PreviewOutput,
    PreviewStep,
    ResourceState,
)
from ollamazure.preview.script import Script
from ollamazure.preview.text import Text, fill
from ollamazure.review import explain
from ollamazure.review.cost import Cost
from ollamazure.review.rules import Action, Effect, Layer, Resource, Rule, table

# The part that a removed resource leaves behind: all of it.
KEPT = "kept"
# Where a command's script is: in what the login shell runs, and in its standard input.
SCRIPT = ("create", "stdin")
MOST_SENTENCES = 8
MACHINE_TYPE = "azure-native:compute:VirtualMachine"

Kind = Literal["nothing", "changes", "everything new", "everything removed"]


@dataclass(frozen=True)
class Change:
    """One resource that changes.

    Attributes:
        layer: where it belongs.
        action: what happens to it.
        resource: its kind.
        item: which one, where there may be several.
        title: what readers call it.
        meaning: sentences for them.
        effect: what users notice.
        again: it is only run again, because the machine is a new one.
        kept: Pulumi lets go of it, and it stays in the cloud.
        alarms: what must not be overlooked, in a word for the headline.
    """

    layer: Layer
    action: Action
    resource: Resource
    item: str
    title: Text
    meaning: tuple[Text, ...]
    effect: Effect
    again: bool = False
    kept: bool = False
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """What a preview means.

    Attributes:
        preview: what the engine said.
        kind: the change as a whole.
        changes: without the last check.
        checked: the chat is asked a question at the end.
        effect: the worst of all.
        cost: of a month, before and after.
    """

    preview: PreviewOutput
    kind: Kind
    changes: tuple[Change, ...]
    checked: bool
    effect: Effect
    cost: Cost


def review(preview: PreviewOutput) -> Review:
    """What the preview means.

    Raises:
        PreviewError: it has an operation that rules.yaml does not know.
    """
    found = sorted(_changes(preview.steps), key=_place)
    changes = tuple(change for change in found if change.layer != "check")
    return Review(
        preview,
        _kind(_decided(preview.steps), changes),
        changes,
        checked=any(c.layer == "check" and c.action != "removed" for c in found),
        effect=table().worst([change.effect for change in changes]),
        cost=Cost.read(preview.cost_before, preview.cost_after),
    )


def _place(change: Change) -> tuple[int, str]:
    """The table's order; the engine's differs from run to run."""
    return table().resources.index(change.resource), change.item


def _kind(steps: Sequence[PreviewStep], changes: Sequence[Change]) -> Kind:
    if not changes:
        return "nothing"
    of_stack = next((step.op for step in steps if step.type == STACK_TYPE), None)
    if of_stack == "create":
        return "everything new"
    return "everything removed" if of_stack == "delete" else "changes"


def _changes(steps: Sequence[PreviewStep]) -> Iterator[Change]:
    decided = _decided(steps)
    new_machine = any(
        step.type == MACHINE_TYPE and _action(step) in ("added", "replaced") for step in decided
    )
    for step in decided:
        action = _action(step)
        resource = table().resource(step.type, step.name)
        changes = action or _protection_changes(step)
        aspects = _aspects(step, action, new_machine) if changes else []
        if aspects and resource.layer != "none":
            yield _change(step, action or "changed", resource, aspects)


def _decided(steps: Sequence[PreviewStep]) -> list[PreviewStep]:
    """What happens to each resource in the end: after `--refresh` the first step of one may only
    tell how the cloud had changed, and half steps of a replacement tell nothing new."""
    found: dict[str, PreviewStep] = {}
    for step in steps:
        if _action(step) or step.op == "same":
            found[step.urn] = step
    return list(found.values())


def _action(step: PreviewStep) -> Action | None:
    operations = table().operations
    if step.op not in operations:
        raise PreviewError(
            f"The preview has the operation {step.op!r} for {step.type} {step.name!r}, which is "
            "not in `operations` of ollamazure/review/rules.yaml. Say there what it means."
        )
    return operations[step.op]


def _protection_changes(step: PreviewStep) -> bool:
    """The engine calls it the same: the cloud does not change, only what the engine refuses."""
    if not (step.old and step.new):
        return False
    return (step.old.protect, step.old.retain) != (step.new.protect, step.new.retain)


def _aspects(step: PreviewStep, action: Action | None, new_machine: bool) -> list[str]:
    """What of a resource changes; see `of` in rules.yaml."""
    if action == "removed":
        return [KEPT if step.old and step.old.retain else ""]
    if action == "added":
        return [""]
    of_protection = ["protection"] if _protection_changes(step) else []
    paths = [path for path in step.changed if path not in SCRIPT and not _leads_to(path)]
    of_script = _of_script(step, new_machine) if len(paths) < len(step.changed) else []
    return paths + of_script + of_protection or [""]


def _leads_to(path: str) -> bool:
    """Whether it says where a command runs: always with what it runs, and told by the machine."""
    return path.split(".", maxsplit=1)[0] == "connection"


def _of_script(step: PreviewStep, new_machine: bool) -> list[str]:
    before, after = _text(step.old), _text(step.new)
    if new_machine:
        return ["machine"]
    if UNKNOWN in after:
        return ["secret"]  # one that the deployment makes anew
    different = Script.read(before).differs(Script.read(after))
    if not different and SECRET in after:
        return ["secret"]
    # What every script begins with may change: the command runs again, and that is all.
    return different or ["head"]


def _text(state: ResourceState | None) -> str:
    """What a command runs: the script from standard input, and what rides in the command line."""
    if state is None:
        return ""
    return "\n".join(str(state.inputs.get(name) or "") for name in SCRIPT)


def _change(
    step: PreviewStep, action: Action, resource: Resource, aspects: Sequence[str]
) -> Change:
    item = _item(step, resource)
    meaning: dict[Text, None] = {}
    effects: list[Effect] = []
    again, alarms = [], []
    ruled = [(aspect, *_rule(step, action, resource, aspect)) for aspect in aspects]
    for aspect, rule, values in ruled:
        again.append(rule.again)
        # Of files that one rule is about there is one sentence.
        path = ", ".join(other["path"] for _, of, other in ruled if of is rule)
        for sentence in _sentences(step, rule, aspect, {**values, "item": item, "path": path}):
            meaning.setdefault(sentence.text)
            effects.append(sentence.effect or rule.effect)
            alarms += [sentence.alarm] if sentence.alarm else []
        effects.append(rule.effect)
    return Change(
        resource.layer,
        action,
        resource,
        item,
        fill(resource.title, {"item": item, "type": step.type}),
        _shortened(tuple(meaning)),
        table().worst(effects),
        again=all(again),
        kept=KEPT in aspects,
        alarms=tuple(alarms),
    )


def _shortened(meaning: tuple[Text, ...]) -> tuple[Text, ...]:
    if len(meaning) <= MOST_SENTENCES:
        return meaning
    more = len(meaning) - MOST_SENTENCES
    return (*meaning[:MOST_SENTENCES], (f"And {more} more, in the difference below.",))


def _item(step: PreviewStep, resource: Resource) -> str:
    """Which one of several: what undoing it calls it, else what its name says."""
    if resource.item:
        for state in filter(None, (step.new, step.old)):
            if found := re.search(resource.item, str(state.inputs.get("delete"))):
                return "".join(shlex.split(found[1]))
    prefix = resource.match.rpartition("::")[2].rstrip("*")
    return step.name.removeprefix(prefix)


_UNKNOWN = Rule(
    when="*",
    effect="unknown",
    means="What follows from {path} is not known; read the difference.",
    why="nobody has written it down",
)


def _rule(
    step: PreviewStep, action: Action, resource: Resource, aspect: str
) -> tuple[Rule, dict[str, str]]:
    """The first rule that fits, with what its sentence needs."""
    for rule in (*table().always, *resource.changes):
        if rule.fits(action, aspect):
            values = _values(step, rule, aspect)
            if values is not None:
                return rule, values
    return _UNKNOWN, {"path": aspect or action}


def _values(step: PreviewStep, rule: Rule, aspect: str) -> dict[str, str] | None:
    """{before}, {after} and {path} of a part; None when a rule reads a difference that is none."""
    path = aspect.removeprefix("file:")
    if rule.reads is None:
        before, after = (state.value(aspect) if state else None for state in (step.old, step.new))
        return {"before": str(before), "after": str(after), "path": path}
    found = [re.search(rule.reads, part) for part in _parts(step, aspect)]
    before, after = (match[1] if match else "" for match in found)
    return {"before": before, "after": after, "path": path} if before != after else None


def _parts(step: PreviewStep, aspect: str) -> tuple[str, str]:
    """The part of the script that an aspect names, before and after; else what is declared."""
    before, after = (Script.read(_text(state)) for state in (step.old, step.new))
    if aspect:
        return before.part(aspect), after.part(aspect)
    declared = (text for path, text in after.files.items() if path.endswith(".json"))
    return "", after.input or next(declared, "")


def _sentences(
    step: PreviewStep, rule: Rule, aspect: str, values: dict[str, str]
) -> Iterator[explain.Sentence]:
    if rule.means:
        yield explain.Sentence(fill(rule.means, values))
    if rule.explain:
        change = explain.Change(step.old, step.new, *_parts(step, aspect))
        yield from explain.EXPLANATIONS[rule.explain](change)
