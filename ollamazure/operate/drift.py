"""Is what a stack has made still what was declared? Looks in the cloud and at the machine.

Changes nothing: `pulumi refresh` in preview asks Azure, and a tool of the machine, reached by SSH,
looks at files, units, versions, models and what Open WebUI holds. Exit code: 0 when nothing
differs, 1 when something does, 2 when nothing was found and one of the two did not answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ollamazure.operate.connection import Machine, TroubleError, outputs_of, parser, run_pulumi
from ollamazure.preview import output, text

LOOK = "sudo /usr/local/lib/ollamazure/drift.py"
LONGEST_PART = 24_000  # characters: an issue holds 65536
EXIT_CODES = {"none": 0, "found": 1, "unknown": 2}


@dataclass(frozen=True)
class Look:
    """What one look has found.

    Attributes:
        place: `cloud` or `machine`.
        found: each item names a resource, and what differs.
        trouble: why it cannot be told, if so.
    """

    place: str
    found: Sequence[Mapping[str, str]] = ()
    trouble: str = ""

    @property
    def outcome(self) -> str:
        """In one word: found, none or unknown."""
        return "unknown" if self.trouble else "found" if self.found else "none"


def look_at_cloud(stack: str, pulumi: str) -> Look:
    """What Azure has otherwise than Pulumi's state."""
    try:
        return Look("cloud", [*cloud_differences(refreshed(stack, pulumi).steps)])
    except (TroubleError, output.PreviewError) as error:
        return Look("cloud", trouble=f"the cloud does not say what differs: {error}")


def refreshed(stack: str, pulumi: str) -> output.PreviewOutput:
    """What a refresh would change in Pulumi's state.

    Raises:
        TroubleError: Azure cannot be asked.
        output.PreviewError: what Pulumi says is not understood.
    """
    command = [pulumi, "refresh", "--preview-only", "--json", "--non-interactive"]
    done = run_pulumi([*command, "--stack", stack])
    if done.returncode == 0:
        return output.read(done.stdout)
    try:
        errors = output.read(done.stdout).errors
    except output.PreviewError:
        errors = ()
    raise TroubleError(
        "; ".join(errors) or f"`{' '.join(command)}` has failed; Pulumi has said why."
    )


def cloud_differences(steps: Sequence[output.PreviewStep]) -> Iterator[dict[str, str]]:
    """What the steps of a refresh mean, resource by resource."""
    for step in steps:
        if step.op == "delete":
            yield {"resource": step.name, "what": f"the {step.type} is gone"}
        elif step.op not in ("same", "read", "refresh"):
            for path in step.changed or (f"the {step.type}",):
                yield {"resource": step.name, "what": f"{path} {difference(step, path)}"}


def difference(step: output.PreviewStep, path: str) -> str:
    """What Azure has at a path of the inputs, and what was declared; secrets are masked already."""
    declared, now = (state.value(path) if state else None for state in (step.old, step.new))
    if declared == now:
        return "differs"
    if declared is None:
        return f"is {in_short(now)} and not declared"
    if now is None:
        return f"is gone, declared is {in_short(declared)}"
    return f"is {in_short(now)}, declared is {in_short(declared)}"


def in_short(value: Any) -> str:
    """A value on one line that is not too long."""
    return text.shorten(json.dumps(value, ensure_ascii=False))


def look_at_machine(stack: str, pulumi: str) -> Look:
    """What the stack's machine itself finds."""
    try:
        outputs = outputs_of(stack, pulumi, "adminEmail", "adminPassword")
        return Look("machine", asyncio.run(look(outputs)))
    except TroubleError as trouble:
        return Look("machine", trouble=str(trouble))


async def look(outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the machine that `outputs` lead to finds: a resource and what differs, each.

    Raises:
        TroubleError: the machine is not reached, is another one, or does not answer.
    """
    admin = {"email": outputs["adminEmail"], "password": outputs["adminPassword"]}
    found: list[dict[str, str]] = await Machine.of(outputs).ask(LOOK, json.dumps(admin))
    return found


def outcome(looks: Sequence[Look]) -> str:
    """Of all looks together: what one has found counts, also where another could not look."""
    each = {look.outcome for look in looks}
    return next(word for word in ("found", "unknown", "none") if word in each)


def report(stack: str, looks: Sequence[Look], pulumi: str, again: str) -> str:
    """What a person reads: the differences by resource, and the commands that end them.

    Args:
        stack: what was looked at.
        looks: one for each place.
        pulumi: the command that works on the stack.
        again: a value that the setting `reapply` has not had before.
    """
    parts = [paragraph(look, stack) for look in looks if look.outcome == "found"]
    for look in looks:
        if look.outcome == "none":
            parts.append(f"No drift: the {look.place} of the stack {stack} is as declared.")
    fixes = {
        "cloud": f"{pulumi} up --refresh --stack {stack}",
        "machine": f"{pulumi} config set ollamazure:reapply {again} --stack {stack} && "
        f"{pulumi} up --stack {stack}",
    }
    for look in looks:
        if look.outcome == "found":
            parts += [f"To have the {look.place} as declared again:", f"  {fixes[look.place]}"]
    return "\n\n".join(parts)


def paragraph(look: Look, stack: str) -> str:
    """What was found at one place, by resource."""
    lines = [f"Drift of the {look.place} of the stack {stack}:"]
    in_order = sorted(look.found, key=lambda item: (item["resource"], item["what"]))
    for resource, items in itertools.groupby(in_order, key=lambda item: item["resource"]):
        lines += ["", resource, *(f"  {item['what']}" for item in items)]
    return "\n".join(lines)


def markdown(stack: str, looks: Sequence[Look], pulumi: str, again: str) -> str:
    """The report for an issue; its first line says what came of it."""
    parts = [f"<!-- drift: {outcome(looks)} -->\n## {stack}\n"]
    for look in looks:
        said = look.trouble or report(stack, [look], pulumi, again)
        block = text.block(said[:LONGEST_PART], "text")
        parts.append(f"**The {look.place}**: {look.outcome}\n\n{block}\n")
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    options_of = parser("What differs from what was declared? Only reads.")
    options_of.add_argument("--markdown", type=Path, metavar="FILE", help="write the report there")
    options = options_of.parse_args(arguments)
    stack, pulumi = options.stack, options.pulumi
    looks = [look_at_cloud(stack, pulumi), look_at_machine(stack, pulumi)]
    again = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    for look in looks:
        if look.trouble:
            print(f"drift: {look.trouble}", file=sys.stderr)
    if said := report(stack, looks, pulumi, again):
        print(text.mask_control_characters(said))
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(markdown(stack, looks, pulumi, again))
    return EXIT_CODES[outcome(looks)]


if __name__ == "__main__":
    sys.exit(main())
