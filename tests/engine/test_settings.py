"""Invalid settings under the real engine: one message with every fix, and the fixes work."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.engine.stack import Stack

# The exit code of the CLI when the program ended the run.
PROGRAM_FAILED = 1
INVALID = {
    "vmSize": "B2ms",
    "contextLength": "8k",
    "sshClients[0]": "office",
    "models[1]": "smolm2:360m",
    "certificate.validityDays": "100",
    "mirrors.container": "mirrors.example.com",
    "colour": "blue",
}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path / "emulator")


def test_all_problems_are_reported_at_once_and_the_printed_commands_fix_them(
    stack: Stack,
) -> None:
    pairs = [part for key, value in INVALID.items() for part in ("--plaintext", f"{key}={value}")]
    stack.run("config", "set-all", "--path", *pairs)

    printed = stack.run("preview", code=PROGRAM_FAILED)

    assert f"{len(INVALID)} settings to fix; nothing has been created or changed." in printed
    assert "Traceback" not in printed
    commands = re.findall(r"pulumi (config (?:set|rm) .*)", printed)
    assert len(commands) == len(INVALID)
    for command in commands:
        stack.run(*shlex.split(command.replace("<your address>", "203.0.113.7")))
    stack.run("preview")


@pytest.mark.long
def test_a_missing_setting_comes_with_its_command(stack: Stack) -> None:
    stack.run("config", "rm", "ollamazure:sshClients")
    printed = stack.run("preview", code=PROGRAM_FAILED)
    assert "ollamazure:sshClients is not set." in printed
    assert "pulumi config set --path 'ollamazure:sshClients[0]' <your address>/32" in printed
    assert "search the web for" in printed


@pytest.mark.long
def test_a_model_that_does_not_fit_fails_at_preview(stack: Stack) -> None:
    stack.set("models[0]", "llama3.1:8b")
    printed = stack.run("preview", code=PROGRAM_FAILED)
    assert "llama3.1:8b does not fit Standard_B2ms; nothing has been created" in printed
    commands = re.findall(r"pulumi (config set ollamazure:(?:dataDiskGiB|vmSize) .*)", printed)
    assert len(commands) == 2, "the data disk is too small as well"
    for command in commands:
        stack.run(*shlex.split(command))
    assert "model-llama3.1-8b" in stack.run("preview")


def test_a_secret_setting_is_neither_printed_nor_kept_in_plain_text(stack: Stack) -> None:
    stack.run("config", "set", "--secret", "ollamazure:adminPassword", "hush hush")
    printed = stack.run("preview", code=PROGRAM_FAILED)
    assert "ollamazure:adminPassword = [secret] is not allowed: it has 9 bytes" in printed
    assert "hush hush" not in printed
    (file,) = (stack.home / "project").glob("Pulumi.local.yaml")
    assert "hush" not in file.read_text()


@pytest.mark.long
def test_undeclared_values_reach_the_program_as_the_cli_stores_them(stack: Stack) -> None:
    """Lists and groups arrive as JSON, a whole list may be set as one text."""
    stack.run("config", "set", "ollamazure:models", '["smollm2:135m", "smollm2:360m"]')
    stack.set("modelMemoryGiB.tiny", "0.5")
    stack.set("tags.pilot", "true")
    stored = yaml.safe_load((stack.home / "project" / "Pulumi.local.yaml").read_text())["config"]
    assert json.loads(stored["ollamazure:models"]) == ["smollm2:135m", "smollm2:360m"]
    assert stored["ollamazure:modelMemoryGiB"] == {"tiny": "0.5"}
    assert stored["ollamazure:tags"] == {"pilot": True}
    assert "model-smollm2-360m" in stack.run("preview")
