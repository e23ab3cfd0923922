"""Tokens by user and model over time, from what Open WebUI stores of each answer."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import read_outputs
from ollamazure.preview.text import mask_control_characters


class Period(StrEnum):
    """What one line of `ollamazure usage` is about."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


PROGRAM = "sudo /usr/local/lib/ollamazure/webui-cli usage"
HEADINGS = ("e-mail", "model", "answers", "input tokens", "output tokens")
NOTHING = "No answer is stored for this time. docs/how-to/usage.md says what is counted."
UNKNOWN = "unknown"
DAY = 24 * 3600
# A spreadsheet takes a cell that starts with one of these for a formula (OWASP, CSV Injection), and
# their wide forms, too. A cell may also start inside a text: where the comma is for decimals, as in
# France, a spreadsheet splits lines at semicolons.
FORMULA = re.compile('(^|[;,"])(\\s*)(?=[=+@\uff1d\uff0b\uff0d\uff20-])')


@dataclass(frozen=True)
class UserUsage:
    """What a user had a model do in a period.

    Attributes:
        period: its first day, or the month: 2027-01-25, 2027-01.
        email: of the account; `unknown` if there is none.
        name: of the account.
        model: the model or preset.
        answers: how many were stored.
        input_tokens: of the questions with all that the model read before them.
        output_tokens: of the answers.
    """

    period: str
    email: str
    name: str
    model: str
    answers: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Wanted:
    """What `ollamazure usage` counts.

    Attributes:
        by: the length of a period.
        since: the first day, in UTC. None: the first that is stored.
        until: the last day, in UTC. None: today.
    """

    by: Period
    since: datetime | None = None
    until: datetime | None = None


def print_usage(stack: str, pulumi: str, wanted: Wanted, *, as_csv: bool) -> int:
    """Print a line for each period, user and model; as CSV for a spreadsheet.

    Raises:
        OperateError: the machine cannot be queried.
    """
    machine = MachineConnection.from_outputs(read_outputs(stack, pulumi))
    usage = query_usage(machine, wanted)
    if as_csv:
        write_csv(usage)
    else:
        print("\n".join(_tables(usage)) if usage else NOTHING)
    return 0


def query_usage(machine: MachineConnection, wanted: Wanted) -> list[UserUsage]:
    """What the machine has counted, the oldest period first."""
    end = wanted.until or datetime.now(UTC)
    request = {
        "by": wanted.by.value,
        "since": _start_of(wanted.since) if wanted.since else 0,
        "until": _start_of(end) + DAY,
    }
    rows = asyncio.run(machine.query(PROGRAM, json.dumps(request)))
    # Users choose names, and a program that signs in as one chooses the name of a model.
    texts = {"email": UNKNOWN, "name": "", "model": UNKNOWN}
    return [
        UserUsage(**row | {key: _plain(row[key] or other) for key, other in texts.items()})
        for row in rows
    ]


def write_csv(usage: Iterable[UserUsage]) -> None:
    """Print RFC 4180's CSV with a line of headings."""
    table = csv.writer(sys.stdout)
    table.writerow(field.name for field in fields(UserUsage))
    table.writerows(map(_neutral, astuple(one)) for one in usage)


def _neutral(cell: str | int) -> str | int:
    """The cell, with an apostrophe before a text that a spreadsheet would take for a formula."""
    return FORMULA.sub(r"\1\2'", cell) if isinstance(cell, str) else cell


def _plain(text: str) -> str:
    return " ".join(mask_control_characters(text).split())


def _tables(usage: Sequence[UserUsage]) -> Iterator[str]:
    """A table for each period, with its sum."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for period, group in groupby(usage, key=lambda one: one.period):
        members = list(group)
        rows += [(period, "", "", "", ""), *map(_row, members), _sum(members)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*texts, *numbers]).rstrip()


def _row(usage: UserUsage) -> tuple[str, ...]:
    return (f"  {usage.email}", usage.model, *_numbers([usage]))


def _sum(usage: Sequence[UserUsage]) -> tuple[str, ...]:
    return ("  all", "", *_numbers(usage))


def _numbers(usage: Sequence[UserUsage]) -> Iterator[str]:
    yield f"{sum(one.answers for one in usage):,}"
    yield f"{sum(one.input_tokens for one in usage):,}"
    yield f"{sum(one.output_tokens for one in usage):,}"


def _start_of(day: datetime) -> int:
    """The start of a day in UTC, in seconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
