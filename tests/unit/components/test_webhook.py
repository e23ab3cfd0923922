"""Reports of the machine: what their command writes, and that the address stays secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.components.test_cloud import whole_program

ADDRESS = "https://hooks.slack.com/services/T0/B0/a-token"


def script_of(**given: Any) -> str:
    command = whole_program("dev", webhook=ADDRESS, **given).named("webhook")
    script: str = command.inputs["stdin"]
    return script


def settings_in(script: str) -> dict[str, Any]:
    written = script.partition("put /etc/ollamazure/webhook.json 0644")[2].partition("\n")[2]
    found: dict[str, Any] = json.loads(written.partition("END_OF_FILE")[0])
    return found


def test_the_address_is_a_secret_in_a_file_of_roots() -> None:
    recorder = whole_program("dev", webhook=ADDRESS)
    command = recorder.named("webhook")
    assert "stdin" in command.secrets
    script = command.inputs["stdin"]
    assert script.count("a-token") == 1
    assert "put_secret address /etc/ollamazure/webhook-address 0600" in script
    for resource in recorder.resources:
        shown = {k: v for k, v in resource.inputs.items() if (resource, k) != (command, "stdin")}
        assert "a-token" not in json.dumps(shown), resource.name


def test_the_machine_knows_what_a_report_names() -> None:
    found = settings_in(script_of(dataDiskGiB="128", domain="chat.example.com"))
    assert (found["format"], found["stack"], found["url"]) == (
        "text",
        "dev",
        "https://chat.example.com",
    )
    assert (found["certificateMode"], found["dataDiskGiB"]) == ("selfSigned", 128)
    assert "caCertificate" in found


@pytest.mark.parametrize(
    ("given", "expected"), [({"webhook": ADDRESS}, True), ({}, False)], ids=["with", "without"]
)
def test_without_the_setting_there_is_no_command(given: dict[str, str], expected: bool) -> None:
    names = {resource.name for resource in whole_program("dev", **given).resources}
    assert ("webhook" in names) is expected


def test_the_machine_forgets_the_webhook_with_the_setting() -> None:
    command = whole_program("dev", webhook=ADDRESS).named("webhook")
    assert "/usr/local/lib/ollamazure/webhook.py off" in command.inputs["delete"]
