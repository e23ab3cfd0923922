"""Whether the resources of a stack are still as declared, in the cloud and on the machine.

Only reads. `pulumi refresh` in preview mode compares Azure with Pulumi's state, and a program on
the machine compares files, units, versions, models and Open WebUI's items with what was installed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError, read_outputs, run_pulumi
from ollamazure.operate.schedule import STOPPED_BY_SCHEDULE, stopped_by_schedule
from ollamazure.preview import output, text

PROGRAM = "sudo /usr/local/lib/ollamazure/drift.py"
LONGEST_PART = 24_000  # characters: an issue on GitHub holds 65536
EXIT_CODES = {"none": 0, "found": 1, "unknown": 2, "stopped": STOPPED_BY_SCHEDULE}


@dataclass(frozen=True)
class DriftReport:
    """What differs in one place.

    Attributes:
        place: `cloud` or `machine`.
        differences: each names a resource, and what differs.
        error: why the place could not be compared, if it could not.
        stopped: that the machine is off outside its working hours, if it is.
    """

    place: str
    differences: Sequence[Mapping[str, str]] = ()
    error: str = ""
    stopped: str = ""

    @property
    def outcome(self) -> str:
        """In one word: found, none, stopped or unknown."""
        if self.stopped:
            return "stopped"
        return "unknown" if self.error else "found" if self.differences else "none"


def run(stack: str, pulumi: str, markdown: Path | None) -> int:
    """Compare both places and print the result.

    Returns 0 without drift, 1 with, 2 when unknown, 3 when the machine is off by its schedule.

    Args:
        stack: its name.
        pulumi: the command that has it.
        markdown: a file for the report of the nightly workflow.
    """
    reports = [compare_cloud(stack, pulumi), compare_machine(stack, pulumi)]
    reapply = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    for report in reports:
        if report.error:
            print(f"drift: {report.error}", file=sys.stderr)
    if printed := render_text(stack, reports, pulumi, reapply):
        print(text.mask_control_characters(printed))
    if markdown:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        markdown.write_text(render_markdown(stack, reports, pulumi, reapply))
    return EXIT_CODES[outcome_of(reports)]


def compare_cloud(stack: str, pulumi: str) -> DriftReport:
    """What differs between Azure and Pulumi's state."""
    try:
        steps = preview_refresh(stack, pulumi).steps
        ignored = read_external_tags(stack, pulumi)
        return DriftReport("cloud", [*cloud_differences(steps, ignored)])
    except (OperateError, output.PreviewError) as error:
        return DriftReport("cloud", error=f"the cloud cannot be compared: {error}")


def preview_refresh(stack: str, pulumi: str) -> output.PreviewOutput:
    """What a refresh would change in Pulumi's state.

    Raises:
        OperateError: the refresh failed.
        output.PreviewError: Pulumi's output has an unknown form.
    """
    command = [pulumi, "refresh", "--preview-only", "--json", "--non-interactive"]
    done = run_pulumi([*command, "--stack", stack])
    if done.returncode == 0:
        return output.read(done.stdout)
    try:
        errors = output.read(done.stdout).errors
    except output.PreviewError:
        errors = ()
    raise OperateError(
        "; ".join(errors) or f"`{' '.join(command)}` failed; Pulumi's own message is above."
    )


def read_external_tags(stack: str, pulumi: str) -> frozenset[str]:
    """The names of the setting externalTags, in lower case; none if they cannot be read."""
    done = run_pulumi([pulumi, "config", "--json", "--stack", stack])
    values = json.loads(done.stdout) if done.returncode == 0 else {}
    setting = values.get("ollamazure:externalTags", {})
    names = setting.get("objectValue") or re.split(r"[,\s]+", setting.get("value") or "")
    return frozenset(str(name).lower() for name in names if name)


def cloud_differences(
    steps: Sequence[output.PreviewStep], external_tags: Collection[str] = ()
) -> Iterator[dict[str, str]]:
    """The differences that the steps of a refresh stand for.

    Args:
        steps: of the refresh.
        external_tags: names, in lower case, of tags that others may set.
    """
    for step in steps:
        if step.op == "delete":
            yield {"resource": step.name, "what": f"the {step.type} is missing"}
        elif step.op not in ("same", "read", "refresh"):
            for path in step.changed or (f"the {step.type}",):
                if _tag_of(path) not in external_tags:
                    what = f"{path} {describe_difference(step, path)}"
                    yield {"resource": step.name, "what": what}


def _tag_of(path: str) -> str | None:
    """The lower-case name of the tag that a path of the inputs leads to: `tags.team` or
    `tags["cost center"]`; None if it is no tag's.
    """
    found = re.fullmatch(r'tags(?:\.(.+)|\["(.+)"\])', path)
    return (found[1] or found[2]).lower() if found else None


def describe_difference(step: output.PreviewStep, path: str) -> str:
    """The actual and the declared value at a path of the inputs; secrets are already masked."""
    declared, actual = (state.value(path) if state else None for state in (step.old, step.new))
    if declared == actual:
        return "differs"
    if declared is None:
        return f"is {_shorten(actual)} and not declared"
    if actual is None:
        return f"is missing, declared is {_shorten(declared)}"
    return f"is {_shorten(actual)}, declared is {_shorten(declared)}"


def _shorten(value: Any) -> str:
    return text.shorten(json.dumps(value, ensure_ascii=False))


def compare_machine(stack: str, pulumi: str) -> DriftReport:
    """What differs between the machine and what was installed there."""
    try:
        outputs = read_outputs(stack, pulumi, "adminEmail", "adminPassword")
        if off := stopped_by_schedule(stack, pulumi, outputs, datetime.now(UTC)):
            return DriftReport("machine", stopped=off)
        return DriftReport("machine", asyncio.run(query_machine(outputs)))
    except OperateError as error:
        return DriftReport("machine", error=str(error))


async def query_machine(outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """The differences that the machine's own program finds, each with its resource.

    Raises:
        OperateError: the machine cannot be queried.
    """
    admin = {"email": outputs["adminEmail"], "password": outputs["adminPassword"]}
    machine = MachineConnection.from_outputs(outputs)
    differences: list[dict[str, str]] = await machine.query(PROGRAM, json.dumps(admin))
    return differences


def outcome_of(reports: Sequence[DriftReport]) -> str:
    """The outcome of all places: a difference counts even if another place is unknown."""
    outcomes = {report.outcome for report in reports}
    return next(word for word in ("found", "unknown", "stopped", "none") if word in outcomes)


def render_text(stack: str, reports: Sequence[DriftReport], pulumi: str, reapply: str) -> str:
    """The differences by resource, and the commands that undo them.

    Args:
        stack: its name.
        reports: one for each place.
        pulumi: the command that has the stack.
        reapply: a value that the setting `reapply` has not had before.
    """
    parts = [_paragraph(report, stack) for report in reports if report.outcome == "found"]
    for report in reports:
        if report.outcome == "none":
            parts.append(f"No drift: the {report.place} of the stack {stack} is as declared.")
        if report.stopped:
            parts.append(f"Not compared: the machine of the stack {stack}. {report.stopped}")
    fixes = {
        "cloud": f"{pulumi} up --refresh --stack {stack}",
        "machine": f"{pulumi} config set ollamazure:reapply {reapply} --stack {stack} && "
        f"{pulumi} up --stack {stack}",
    }
    for report in reports:
        if report.outcome == "found":
            parts += [f"To restore the {report.place}:", f"  {fixes[report.place]}"]
    return "\n\n".join(parts)


def _paragraph(report: DriftReport, stack: str) -> str:
    lines = [f"Drift of the {report.place} of the stack {stack}:"]
    in_order = sorted(report.differences, key=lambda item: (item["resource"], item["what"]))
    for resource, items in itertools.groupby(in_order, key=lambda item: item["resource"]):
        lines += ["", resource, *(f"  {item['what']}" for item in items)]
    return "\n".join(lines)


def render_markdown(stack: str, reports: Sequence[DriftReport], pulumi: str, reapply: str) -> str:
    """The report for an issue on GitHub; its first line states the outcome."""
    parts = [f"<!-- drift: {outcome_of(reports)} -->\n## {stack}\n"]
    for report in reports:
        body = report.error or render_text(stack, [report], pulumi, reapply)
        block = text.block(body[:LONGEST_PART], "text")
        parts.append(f"**The {report.place}**: {report.outcome}\n\n{block}\n")
    return "\n".join(parts)
