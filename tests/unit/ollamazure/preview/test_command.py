"""The parts of a command, read from what components/remote_command.py writes."""

from __future__ import annotations

from typing import Any

import pytest

from components import remote_command
from ollamazure import manifest
from ollamazure.manifest import ManifestError
from ollamazure.preview.command import CommandPlan
from ollamazure.preview.output import SECRET

pytestmark = pytest.mark.unit

FILE = remote_command.File("/etc/nginx/nginx.conf", suffix=".next")
TEXT = "one\nput /x 0644 <<'END'\n}\ntwo\n"


def script(*, text: str = TEXT, own: str = "do x", **changes: Any) -> str:
    known = {"purpose": "test", "machine": "m", **changes}
    return remote_command.render_script("x", own, [(FILE, text.encode())], **known)


def plan(**changes: Any) -> CommandPlan:
    return CommandPlan.read({"stdin": script(**changes)})


def secret_plan(**changes: Any) -> CommandPlan:
    shown = manifest.split(script(secrets=True, **changes))[0]
    return CommandPlan.read({"stdin": SECRET, "environment": {manifest.VARIABLE: shown}})


def test_its_parts_are_read() -> None:
    assert plan().manifest.machine == "m"
    assert plan().texts == {FILE.path: TEXT}
    assert plan().part(f"file:{FILE.path}") == TEXT
    assert plan().part("script") == "do x\n"


@pytest.mark.parametrize("read", [plan, secret_plan])
def test_what_differs_is_named(read: Any) -> None:
    assert read().differences(read()) == []
    assert read().differences(read(machine="n")) == ["machine"]
    assert read().differences(read(reapply="again, 2")) == ["reapply"]
    assert read().differences(read(shown_input="{}")) == ["input"]
    assert read().differences(read(text="other\n")) == ["file:/etc/nginx/nginx.conf"]
    assert read().differences(read(own="do y")) == ["script"]


def test_a_secret_script_shows_its_input_and_nothing_else() -> None:
    text = '{"name": "Dai O\'Neill"}'
    read = secret_plan(shown_input=text)
    assert (read.part("input"), read.part("script"), read.texts) == (text, "", {})


def test_a_change_of_the_first_part_of_every_script_is_no_difference() -> None:
    changed = script().replace("umask 022", "umask 027")
    assert plan().differences(CommandPlan.read({"stdin": changed})) == []


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"stdin": "echo hello\n"},
        {"stdin": SECRET},
        {"stdin": SECRET, "environment": SECRET},
        {"stdin": SECRET, "environment": {manifest.VARIABLE: "{}"}},
        {"stdin": script().replace('"machine"', '"computer"')},
        {"stdin": script().replace("do x", "do y")},
        {"stdin": script().replace("two\n", "three\n")},
        {"stdin": script(), "environment": {manifest.VARIABLE: "{}"}},
    ],
    ids=lambda inputs: str(inputs)[:60],
)
def test_a_command_without_a_manifest_that_describes_it_is_refused(inputs: Any) -> None:
    with pytest.raises(ManifestError):
        CommandPlan.read(inputs)
