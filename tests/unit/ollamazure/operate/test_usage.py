"""`bin/ollamazure usage`: what is requested and printed.

With a machine: tests/e2e/test_operations.py.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from ollamazure import cli
from ollamazure.operate import usage
from ollamazure.operate.connection import MachineConnection
from tests.unit.ollamazure.operate.fake_pulumi import OUTPUTS

DAY = 24 * 3600
HEADINGS = ["period", "email", "name", "model", "answers", "input_tokens", "output_tokens"]


def row(period: str, email: str | None = "alice@example.com", **changes: Any) -> dict[str, Any]:
    numbers = {"answers": 2, "input_tokens": 12345, "output_tokens": 678}
    named = {"name": "Alice", "model": "small:1b", **numbers}
    return {"period": period, "email": email, **named, **changes}


class Machine:
    """Answers as the program on the machine, and keeps what it was asked."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.wanted: dict[str, Any] = {}

    async def query(self, command: str, stdin: str = "") -> Any:
        assert command == usage.PROGRAM
        self.wanted = json.loads(stdin)
        return self.rows


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    query = machine.query
    monkeypatch.setattr(
        MachineConnection, "query", lambda _, command, stdin="": query(command, stdin)
    )
    monkeypatch.setattr(usage, "read_outputs", lambda *_: OUTPUTS)
    monkeypatch.setattr(cli, "pulumi_for", lambda *_: "pulumi")
    return machine


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["usage", "--stack", "prod", *words])
    assert result.exit_code == code, result.output
    return result.output


def printed_csv(*words: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(run("--csv", *words))))


def test_a_table_with_the_sum_of_each_period(machine: Machine) -> None:
    bob = row("2027-02", "bob@example.com", model="writing-coach", input_tokens=1000)
    machine.rows = [row("2027-01"), row("2027-02"), bob]
    assert run() == (
        "e-mail               model          answers  input tokens  output tokens\n"
        "2027-01\n"
        "  alice@example.com  small:1b             2        12,345            678\n"
        "  all                                     2        12,345            678\n"
        "2027-02\n"
        "  alice@example.com  small:1b             2        12,345            678\n"
        "  bob@example.com    writing-coach        2         1,000            678\n"
        "  all                                     4        13,345          1,356\n"
    )
    assert machine.wanted["by"] == "month"
    assert machine.wanted["since"] == 0


def test_the_days_that_are_named_belong_to_the_time(machine: Machine) -> None:
    run("--by", "day", "--since", "2027-01-30", "--until", "2027-01-31")
    start = int(datetime(2027, 1, 30, tzinfo=UTC).timestamp())
    assert machine.wanted == {"by": "day", "since": start, "until": start + 2 * DAY}


def test_by_default_it_ends_with_today(machine: Machine) -> None:
    run()
    assert 0 < machine.wanted["until"] - datetime.now(UTC).timestamp() <= DAY


def test_nothing_stored(machine: Machine) -> None:
    assert run() == f"{usage.NOTHING}\n"
    assert printed_csv() == [HEADINGS]


@pytest.mark.parametrize(
    "words",
    [
        ["--by", "year"],
        ["--since", "yesterday"],
        ["--until", "2027-02-30"],
        ["--since", "2027-02-01", "--until", "2027-01-01"],
    ],
)
def test_wrong_options(machine: Machine, words: list[str]) -> None:
    run(*words, code=2)
    assert machine.wanted == {}


def test_csv_has_names_and_plain_numbers(machine: Machine) -> None:
    machine.rows = [row("2027-01-31", name='Alice "the first", of all')]
    assert printed_csv() == [
        HEADINGS,
        [
            "2027-01-31",
            "alice@example.com",
            'Alice "the first", of all',
            "small:1b",
            "2",
            "12345",
            "678",
        ],
    ]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+33 1 23", "'+33 1 23"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'=1+1"),
        ("\t=1+1", "'=1+1"),
        ("\r\n=1+1", "'=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("Alice;=1+1", "Alice;'=1+1"),
        ('Alice",=1+1', "Alice\",'=1+1"),
        ("Jean-Luc + Anne = 2", "Jean-Luc + Anne = 2"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("two\nlines", "two lines"),
    ],
)
def test_no_name_is_a_formula(machine: Machine, name: str, cell: str) -> None:
    machine.rows = [row("2027-01", name=name), row("2027-01", model=name)]
    assert printed_csv()[1][2] == cell
    assert printed_csv()[2][3] == cell


def test_an_account_that_does_not_exist_is_unknown(machine: Machine) -> None:
    machine.rows = [row("2027-01", None, name=None)]
    assert printed_csv()[1][1:3] == ["unknown", ""]
    assert "  unknown  small:1b" in run()


def test_no_name_controls_the_terminal(machine: Machine) -> None:
    machine.rows = [row("2027-01", "a\x1b[2J@example.com", model="x\u202ey")]
    assert "\x1b" not in run() and "\u202e" not in run()
