"""The operator's page names what an operator runs, and all of it exists."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from components.outputs import cost_in_numbers, render_operator_page
from ollamazure.sizing import MonthlyCost

PROJECT = Path(__file__).resolve().parents[3]
NAMES = """stack url adminEmail models vmSize location monthlyCostEstimate certificateFingerprint
    sshCommand hostKey keepData hasUsers redirectUri"""


def test_the_operators_page_names_the_commands_of_this_stack() -> None:
    page = render_operator_page({**dict.fromkeys(NAMES.split(), "x"), "stack": "staging"})
    commands = re.findall(r"`make ([a-z]+) STACK=staging[^`]*`", page)
    assert commands == ["status", "logs", "ssh", "drift"]
    makefile = (PROJECT / "Makefile").read_text()
    assert all(re.search(rf"^{command}:", makefile, re.M) for command in commands)


def test_the_cost_is_exported_in_numbers_too() -> None:
    cost = MonthlyCost(71.5432, "USD", "eastus", date(2026, 11, 23), verified=False)
    assert cost_in_numbers(cost) == {
        "amount": 71.54,
        "currency": "USD",
        "region": "eastus",
        "asOf": "2026-11-23",
        "verified": False,
    }
