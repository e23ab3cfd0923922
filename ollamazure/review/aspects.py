"""Finds the aspects of a resource that change; `of` in rules.yaml lists them."""

from __future__ import annotations

import re

from ollamazure.manifest import ManifestError
from ollamazure.preview.command import CommandPlan
from ollamazure.preview.output import SECRET, UNKNOWN, PreviewStep, ResourceState
from ollamazure.review.rules import Action

# A resource that leaves the stack and stays in the cloud.
KEPT = "kept"
# A command whose manifest cannot be read: the new one, or the one that is deployed.
UNREADABLE, UNREADABLE_BEFORE = "manifest", "manifest before"
# Where a command signs in, and with which key.
CONNECTION = "connection"
REMOTE_COMMAND = "command:remote:Command"
# The inputs that say what a command does.
SCRIPT = {
    REMOTE_COMMAND: ("create", "update", "stdin", "environment"),
    "command:local:Command": ("create", "stdin"),
}


def find_aspects(step: PreviewStep, action: Action | None, new_machine: bool) -> list[str]:
    """The aspects that a step changes; an empty name stands for the whole resource."""
    if action == "removed":
        return [KEPT if step.old and step.old.retain else ""]
    if action == "added":
        return [UNREADABLE if _has_unreadable_manifest(step) else ""]
    paths = [path for path in step.changed if not _is_of_script(step, path)]
    of_script = _aspects_of_script(step, new_machine) if len(paths) < len(step.changed) else []
    of_protection = ["protection"] if changes_protection(step) else []
    return paths + of_script + of_protection or [""]


def changes_protection(step: PreviewStep) -> bool:
    """Whether `pulumi destroy` will treat the resource differently.

    The engine's operation for this is `same`, because nothing changes in the cloud.
    """
    if not (step.old and step.new):
        return False
    return (step.old.protect, step.old.retain) != (step.new.protect, step.new.retain)


def read_part(step: PreviewStep, aspect: str) -> tuple[str, str]:
    """The part of a command's script that an aspect names, before and after.

    For a whole new command the part is what it declares.
    """
    before, after = _read_plan(step.old), _read_plan(step.new)
    if aspect:
        return before.part(aspect) if before else "", after.part(aspect) if after else ""
    if after is None:
        return "", ""
    declared = (text for path, text in after.texts.items() if path.endswith(".json"))
    return "", after.manifest.input or next(declared, "")


def _is_of_script(step: PreviewStep, path: str) -> bool:
    """Whether an input says what a command runs, or where."""
    return _input_of(path) in (*SCRIPT.get(step.type, ()), CONNECTION)


def _input_of(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _aspects_of_script(step: PreviewStep, new_machine: bool) -> list[str]:
    inputs = {_input_of(path) for path in step.changed if _is_of_script(step, path)}
    if inputs == {CONNECTION} and not new_machine:
        return [CONNECTION]
    return _compare_scripts(step, new_machine)


def _compare_scripts(step: PreviewStep, new_machine: bool) -> list[str]:
    if new_machine:
        return ["machine"]
    before, after = _read_plan(step.old), _read_plan(step.new)
    stdin = step.new.inputs.get("stdin") if step.new else None
    if step.type != REMOTE_COMMAND or (stdin == UNKNOWN and not after):
        # A local command, or one that contains a value which the deployment generates.
        return ["secret"] if stdin in (SECRET, UNKNOWN) else ["script"]
    if not after:
        return [UNREADABLE]
    if not before:
        return [UNREADABLE_BEFORE]
    different = before.differences(after)
    if not different and after.manifest.secrets:
        return ["secret"]
    # The common head of all scripts may change: the command runs again, and nothing else happens.
    return different or ["head"]


def _has_unreadable_manifest(step: PreviewStep) -> bool:
    if step.type != REMOTE_COMMAND or step.new is None or step.new.inputs.get("stdin") == UNKNOWN:
        return False
    return _read_plan(step.new) is None


def _read_plan(state: ResourceState | None) -> CommandPlan | None:
    """What a command does; None if it has no manifest that can be read."""
    try:
        return CommandPlan.read(state.inputs) if state else None
    except ManifestError:
        return None
