"""Finds the aspects of a resource that change; `of` in rules.yaml lists them."""

from __future__ import annotations

from ollamazure.preview.output import SECRET, UNKNOWN, PreviewStep, ResourceState
from ollamazure.preview.script import Script
from ollamazure.review.rules import Action

# A resource that leaves the stack and stays in the cloud.
KEPT = "kept"
# The inputs of a command that contain its script: the command line and the standard input.
SCRIPT = ("create", "stdin")


def find_aspects(step: PreviewStep, action: Action | None, new_machine: bool) -> list[str]:
    """The aspects that a step changes; an empty name stands for the whole resource."""
    if action == "removed":
        return [KEPT if step.old and step.old.retain else ""]
    if action == "added":
        return [""]
    paths = [path for path in step.changed if path not in SCRIPT and not _is_connection(path)]
    of_script = _compare_scripts(step, new_machine) if len(paths) < len(step.changed) else []
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
    before, after = (Script.read(_script_of(state)) for state in (step.old, step.new))
    if aspect:
        return before.part(aspect), after.part(aspect)
    declared = (text for path, text in after.files.items() if path.endswith(".json"))
    return "", after.input or next(declared, "")


def _is_connection(path: str) -> bool:
    """Whether an input says where a command runs: the row of the machine explains that."""
    return path.split(".", maxsplit=1)[0] == "connection"


def _compare_scripts(step: PreviewStep, new_machine: bool) -> list[str]:
    if new_machine:
        return ["machine"]
    before, after = _script_of(step.old), _script_of(step.new)
    if UNKNOWN in after:
        return ["secret"]  # the deployment generates another one
    different = Script.read(before).differs(Script.read(after))
    if not different and SECRET in after:
        return ["secret"]
    # The common head of all scripts may change: the command runs again, and nothing else happens.
    return different or ["head"]


def _script_of(state: ResourceState | None) -> str:
    if state is None:
        return ""
    return "\n".join(str(state.inputs.get(name) or "") for name in SCRIPT)
