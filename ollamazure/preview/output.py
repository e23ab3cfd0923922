"""Reads what `pulumi preview` says: its JSON, and what only the text of `--diff` has.

`--json` leaves out policy violations and the stack's outputs after the change (pulumi 3.259.0,
backend/display/json.go); both are in the text. The engine's stream of events would have everything,
but its debug messages print the outputs with every secret in plain, so it is never used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SECRET = "[secret]"  # noqa: S105  what the engine prints in place of one
# What the engine's JSON has for a value that only the deployment will tell (SDKs' rpc.UNKNOWN).
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
COST_OUTPUT = "monthlyCostEstimate"
STACK_TYPE = "pulumi:pulumi:Stack"

_ENDS = (
    "an unhandled error occurred: Program exited with non-zero exit code",
    "preview failed",
)

# The line of the stack's outputs in the text: `  ~ name : "before" => "after"`.
_COST_LINE = re.compile(
    rf'^ {{2}}(?P<op>[ ~+-]) {COST_OUTPUT} *: "(?P<first>[^"]*)"(?: => "(?P<then>[^"]*)")?$', re.M
)
# `    pack@v1.0.0 [mandatory]  name  (type: resource)MESSAGE`; more lines of the message begin at
# the left, what comes after it does not.
VIOLATION = re.compile(
    r"^ {4}(?P<pack>[\w.-]+)@v\S+ \[(?P<level>mandatory|advisory|remediate)\]"
    r"(?: \[severity: \w+\])?  (?P<policy>[\w-]+)(?:  \((?P<on>[^)]*)\))?"
    r"(?P<message>.*(?:\n(?! {4}|  [ ~+-] |Resources:|Policy ).*)*)$",
    re.M,
)


class PreviewError(Exception):
    """What was read is not a preview, or not one that is understood; the message says why."""


@dataclass(frozen=True)
class State:
    """A resource before or after the change.

    Attributes:
        inputs: what the program says of it; secrets are `[secret]`.
        outputs: what the deployment answered.
        protect: the engine refuses to delete it.
        retain: it stays in the cloud when the stack lets it go.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    retain: bool = False

    def value(self, path: str) -> Any:
        """The input at a path of the engine's (`a.b[0]`); None where there is none."""
        found: Any = self.inputs
        for part in re.findall(r'\["([^"]*)"\]|\[(\d+)\]|([^.\[\]]+)', path):
            key, index, name = part
            try:
                found = found[int(index)] if index else found[key or name]
            except (KeyError, IndexError, TypeError):
                return None
        return found


@dataclass(frozen=True)
class Step:
    """What happens to one resource.

    Attributes:
        urn: its name in the whole stack.
        op: the engine's word for it.
        type: for example `azure-native:compute:VirtualMachine`.
        name: for example `vm`.
        old, new: before and after; None where there is none.
        changed: paths of the inputs that differ.
    """

    urn: str
    op: str
    type: str
    name: str
    old: State | None
    new: State | None
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Violation:
    """A policy that the program breaks."""

    policy: str
    mandatory: bool
    resource: str
    message: str


@dataclass(frozen=True)
class Preview:
    """What the engine foresees.

    Attributes:
        steps: all resources that it names, unchanged ones too.
        warnings, errors: what the program and the engine said.
        violations: policies that are broken.
        cost_before, cost_after: the stack's estimate of a month, as it says it; None when unknown.
        diff: the whole difference as text.
    """

    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    cost_before: str | None = None
    cost_after: str | None = None
    diff: str = ""


def read(printed: str, diff: str = "") -> Preview:
    """The preview that `pulumi preview --json --show-sames` printed.

    Args:
        printed: its standard output; other lines may come before the JSON.
        diff: what `pulumi preview --diff` printed.

    Raises:
        PreviewError: there is no preview in it.
    """
    said = _json(printed)
    diagnostics = said.get("diagnostics") or ()
    steps = tuple(_step(step) for step in said.get("steps") or ())
    before = next((s.old for s in steps if s.type == STACK_TYPE and s.old), State())
    violations = tuple(_violations(diff))
    cost_before = before.outputs.get(COST_OUTPUT)
    return Preview(
        steps,
        warnings=tuple(_messages(diagnostics, "warning")),
        errors=_errors(tuple(_messages(diagnostics, "error")), violations),
        violations=violations,
        cost_before=cost_before,
        cost_after=_cost_after(diff, cost_before),
        diff=diff,
    )


def _json(printed: str) -> dict[str, Any]:
    """The first JSON object that is a preview."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"^\{", printed, re.M):
        try:
            found, _ = decoder.raw_decode(printed, match.start())
        except ValueError:
            continue
        if {"steps", "diagnostics", "changeSummary"} & found.keys():
            return dict(found)
    raise PreviewError(
        "This is not the output of `pulumi preview --json`. It ends with:\n" + printed[-1000:]
    )


def _step(step: Mapping[str, Any]) -> Step:
    *_, types, name = step["urn"].split("::")
    changed = step.get("detailedDiff") or step.get("diffReasons") or ()
    return Step(
        step["urn"],
        step["op"],
        types.rpartition("$")[2],
        name,
        _state(step.get("oldState")),
        _state(step.get("newState")),
        tuple(sorted(changed)),
    )


def _state(state: Mapping[str, Any] | None) -> State | None:
    if state is None:
        return None
    return State(
        state.get("inputs") or {},
        state.get("outputs") or {},
        bool(state.get("protect")),
        bool(state.get("retainOnDelete")),
    )


def _messages(diagnostics: Any, severity: str) -> Iterator[str]:
    for said in diagnostics:
        if said["severity"] == severity:
            yield said["message"].removeprefix(f"{severity}: ").strip()


def _errors(said: tuple[str, ...], violations: tuple[Violation, ...]) -> tuple[str, ...]:
    """Without the engine's remark that it ended, where somebody has said why."""
    told = tuple(message for message in said if not message.startswith(_ENDS))
    return told if told or violations else said


def _cost_after(diff: str, before: str | None) -> str | None:
    """The estimate afterwards: the text names it where it changes, and where there is no more."""
    found = _COST_LINE.search(diff)
    if found is None:
        return before if diff else None
    if found["op"] == "-":
        return None
    return found["then"] or found["first"]


def _violations(diff: str) -> Iterator[Violation]:
    for found in VIOLATION.finditer(diff):
        yield Violation(
            found["policy"],
            found["level"] == "mandatory",
            (found["on"] or "").rpartition(": ")[2],
            found["message"].strip(),
        )
