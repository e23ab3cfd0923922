"""Reads the output of `pulumi preview`: its JSON, and what is only in the text of `--diff`.

`--json` leaves out policy violations and the stack's outputs after the change (pulumi 3.259.0,
backend/display/json.go); both are in the text. The engine's stream of events has everything, but
its debug messages print the outputs with every secret in plain text, so it is never used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SECRET = "[secret]"  # noqa: S105  what the engine prints instead of a secret
# What the engine's JSON has for a value that is known only after the deployment (rpc.UNKNOWN).
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
COST_OUTPUT = "monthlyCost"
STACK_TYPE = "pulumi:pulumi:Stack"

_ENDS = (
    "an unhandled error occurred: Program exited with non-zero exit code",
    "preview failed",
)

# The output in the text: `  ~ NAME : {`, a line for each field, `    }`.
COST = re.compile(
    rf"^ {{2}}(?P<op>[ ~+-]) {COST_OUTPUT} *: \{{\n(?P<fields>.*?)^ {{4}}\}}$", re.M | re.S
)
# `      ~ name : before => after`, or without a change only one value.
_COST_FIELD = re.compile(r"^ {6}[ ~+-] (?P<name>\w+) *: (?:.* => )?(?P<value>.*)$", re.M)
# `    pack@v1.0.0 [mandatory]  name  (type: resource)MESSAGE`; further lines of the message start
# at the left, what comes after it does not.
VIOLATION = re.compile(
    r"^ {4}(?P<pack>[\w.-]+)@v\S+ \[(?P<level>mandatory|advisory|remediate)\]"
    r"(?: \[severity: \w+\])?  (?P<policy>[\w-]+)(?:  \((?P<on>[^)]*)\))?"
    r"(?P<message>.*(?:\n(?! {4}|  [ ~+-] |Resources:|Policy ).*)*)$",
    re.M,
)


class PreviewError(Exception):
    """The text is not a preview, or has an unknown form; the message says why."""


@dataclass(frozen=True)
class ResourceState:
    """A resource before or after the change.

    Attributes:
        inputs: the properties that the program sets; secrets are `[secret]`.
        outputs: the properties that the cloud returned.
        protect: the engine refuses to delete it.
        retain: it stays in the cloud when it is removed from the stack.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    protect: bool = False
    retain: bool = False

    def value(self, path: str) -> Any:
        """The input at a path in the engine's form (`a.b[0]`); None if it is missing."""
        value: Any = self.inputs
        for key, index, name in re.findall(r'\["([^"]*)"\]|\[(\d+)\]|([^.\[\]]+)', path):
            try:
                value = value[int(index)] if index else value[key or name]
            except (KeyError, IndexError, TypeError):
                return None
        return value


@dataclass(frozen=True)
class PreviewStep:
    """What happens to one resource.

    Attributes:
        urn: its name in the whole stack.
        op: the engine's name for the operation.
        type: for example `azure-native:compute:VirtualMachine`.
        name: for example `vm`.
        old, new: before and after; None if the resource does not exist then.
        changed: paths of the inputs that change.
    """

    urn: str
    op: str
    type: str
    name: str
    old: ResourceState | None
    new: ResourceState | None
    changed: tuple[str, ...]


@dataclass(frozen=True)
class PolicyViolation:
    """A policy that the program breaks."""

    policy: str
    mandatory: bool
    resource: str
    message: str


@dataclass(frozen=True)
class PreviewOutput:
    """What the engine would do.

    Attributes:
        steps: one for each resource, unchanged resources included.
        warnings, errors: messages of the program and the engine.
        violations: policies that the program breaks.
        cost_before, cost_after: the stack's output `monthlyCost`; None if unknown.
        diff: the text of `--diff`.
    """

    steps: tuple[PreviewStep, ...]
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()
    cost_before: Mapping[str, Any] | None = None
    cost_after: Mapping[str, Any] | None = None
    diff: str = ""


def read(printed: str, diff: str = "") -> PreviewOutput:
    """The preview in the output of `pulumi preview --json --show-sames`.

    Args:
        printed: the standard output; other lines may come before the JSON.
        diff: the output of `pulumi preview --diff`.

    Raises:
        PreviewError: `printed` contains no preview.
    """
    decoded = _decode(printed)
    diagnostics = decoded.get("diagnostics") or ()
    steps = tuple(_step(step) for step in decoded.get("steps") or ())
    before = next((s.old for s in steps if s.type == STACK_TYPE and s.old), ResourceState())
    # The engine's order differs from one run to the next.
    violations = tuple(
        sorted(_violations(diff), key=lambda one: (not one.mandatory, one.policy, one.resource))
    )
    errors = tuple(_messages(diagnostics, "error"))
    if not steps and not errors:  # the engine could not start the program
        errors = tuple(_messages(diagnostics, "info#err"))
    cost_before = before.outputs.get(COST_OUTPUT)
    return PreviewOutput(
        steps,
        warnings=tuple(_messages(diagnostics, "warning")),
        errors=_errors(errors, violations),
        violations=violations,
        cost_before=cost_before,
        cost_after=_cost_after(diff, cost_before),
        diff=diff,
    )


def _decode(printed: str) -> dict[str, Any]:
    """The first JSON object that is a preview."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"^\{", printed, re.M):
        try:
            decoded, _ = decoder.raw_decode(printed, match.start())
        except ValueError:
            continue
        if {"steps", "diagnostics", "changeSummary"} & decoded.keys():
            return dict(decoded)
    raise PreviewError(
        "This is not the output of `pulumi preview --json`. It ends with:\n" + printed[-1000:]
    )


def _step(step: Mapping[str, Any]) -> PreviewStep:
    *_, types, name = step["urn"].split("::")
    changed = step.get("detailedDiff") or step.get("diffReasons") or ()
    return PreviewStep(
        step["urn"],
        step["op"],
        types.rpartition("$")[2],
        name,
        _state(step.get("oldState")),
        _state(step.get("newState")),
        tuple(sorted(changed)),
    )


def _state(state: Mapping[str, Any] | None) -> ResourceState | None:
    if state is None:
        return None
    return ResourceState(
        state.get("inputs") or {},
        state.get("outputs") or {},
        bool(state.get("protect")),
        bool(state.get("retainOnDelete")),
    )


def _messages(diagnostics: Any, severity: str) -> Iterator[str]:
    for diagnostic in diagnostics:
        if diagnostic["severity"] == severity:
            yield diagnostic["message"].removeprefix(f"{severity}: ").strip()


def _errors(messages: tuple[str, ...], violations: tuple[PolicyViolation, ...]) -> tuple[str, ...]:
    """The errors, without the engine's note that it ended if another message says why."""
    reasons = tuple(message for message in messages if not message.startswith(_ENDS))
    return reasons if reasons or violations else messages


def _cost_after(diff: str, before: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The output after the change: the text has it only if it changes or is removed."""
    found = COST.search(diff)
    if found is None:
        return before if diff else None
    if found["op"] == "-":
        return None
    fields = _COST_FIELD.finditer(found["fields"])
    try:
        return {field["name"]: json.loads(field["value"]) for field in fields}
    except ValueError:  # [unknown] until the deployment
        return None


def _violations(diff: str) -> Iterator[PolicyViolation]:
    for found in VIOLATION.finditer(diff):
        yield PolicyViolation(
            found["policy"],
            found["level"] == "mandatory",
            (found["on"] or "").rpartition(": ")[2],
            found["message"].strip(),
        )
