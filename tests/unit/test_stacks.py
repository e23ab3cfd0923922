"""Every shipped stack file explains its purpose, and its settings are valid and fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ollamazure.settings.load import parse
from ollamazure.settings.problems import NAMESPACE
from ollamazure.sizing.memory import MACHINE_GIB
from ollamazure.sizing.plan import make_plan

ROOT = Path(__file__).parents[2]
STACKS = sorted(ROOT.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.name)
def test_a_shipped_stack_is_valid(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# "), "the first line explains what the stack is for"
    config = yaml.safe_load(text)["config"]
    # No shipped stack opens SSH on Azure: each operator sets an address.
    opens_ssh = f"{NAMESPACE}:sshClients" in config
    assert opens_ssh == (file.name == "Pulumi.local.yaml")
    config.setdefault(f"{NAMESPACE}:sshClients", ["192.0.2.1"])
    assert all(key.startswith(f"{NAMESPACE}:") for key in config)
    given = {
        key.removeprefix(f"{NAMESPACE}:"): value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
    }
    plan = make_plan(parse(given))
    assert plan.memory_need_gib > MACHINE_GIB


def test_there_is_a_stack_for_each_size_of_model() -> None:
    names = {file.name.split(".")[1] for file in STACKS}
    assert {"dev", "small", "team", "gpu", "prod", "local"} <= names
