"""The parts of a command's script, read back from what components/remote_command.py makes."""

from __future__ import annotations

import pytest

from components import remote_command
from ollamazure.preview.script import Script

pytestmark = pytest.mark.unit

FILE = remote_command.File("/etc/nginx/nginx.conf", suffix=".next")
TEXT = "one\nput /x 0644 <<'END'\n}\ntwo\n"


def made(machine: str = "m", text: str = TEXT, body: str = "do x", reapply: str = "") -> Script:
    files = [(FILE, text)]
    script = remote_command.render_script(
        "x", body, files, machine=machine, reapply=reapply or None
    )
    return Script.read(script)


def test_its_parts_are_read_back() -> None:
    script = made()
    assert script.machine == "m"
    assert script.files == {"/etc/nginx/nginx.conf": TEXT}
    assert script.body == "do x"


def test_what_differs_is_named() -> None:
    assert made().differs(made()) == []
    assert made().differs(made(machine="n")) == ["machine"]
    assert made().differs(made(reapply="again, 2")) == ["reapply"]
    assert made().differs(made(text="other\n")) == ["file:/etc/nginx/nginx.conf"]
    assert made().differs(made(body="do y")) == ["script"]


def test_what_a_secret_script_finds_on_its_input_is_in_plain_sight() -> None:
    said = '{"name": "Dai O\'Neill"}'
    script = Script.read(remote_command.command("user-x", said) + "\n[secret]")
    assert script.input == said
    assert script.differs(Script.read(remote_command.command("user-x", "{}") + "\n[secret]")) == [
        "input"
    ]


def test_what_every_script_begins_with_is_no_part() -> None:
    other = Script("m", "", "", {"/etc/nginx/nginx.conf": TEXT}, "do x")
    assert made().differs(other) == []


def test_a_text_of_another_form_is_all_its_own() -> None:
    assert Script.read("echo hello\n") == Script("", "", "", {}, "echo hello")
