"""The operator's page names what an operator runs, and all of it exists."""

from __future__ import annotations

import re
from pathlib import Path

from components.outputs import render_operator_page

PROJECT = Path(__file__).resolve().parents[3]
NAMES = """stack url adminEmail models vmSize location monthlyCostEstimate certificateFingerprint
    sshCommand hostKey keepData hasUsers redirectUri"""


def test_the_operators_page_names_the_commands_of_this_stack() -> None:
    page = render_operator_page({**dict.fromkeys(NAMES.split(), "x"), "stack": "staging"})
    commands = re.findall(r"`make ([a-z]+) STACK=staging[^`]*`", page)
    assert commands == ["status", "logs", "ssh", "drift"]
    makefile = (PROJECT / "Makefile").read_text()
    assert all(re.search(rf"^{command}:", makefile, re.M) for command in commands)
