"""One manifest, as remote_command writes it, for all its readers: review, policies and machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drift
import pytest
from pulumi_policy import ResourceValidationArgs

from components import remote_command
from ollamazure import manifest
from ollamazure.manifest import InstalledFile, Manifest, ManifestError
from ollamazure.preview.command import CommandPlan
from policy import resources
from tests.unit.components.test_cloud import whole_program
from tests.unit.policy.test_policies import options

pytestmark = pytest.mark.unit

SECRET = "swordfish"
FILES = [
    (remote_command.File("/etc/text", "0640", content=b"x"), b"one\ntwo\n"),
    (remote_command.File("/etc/binary", content=b"x"), b"\0\1"),
    (remote_command.File("/etc/key", "0600", suffix=".next", key="key"), b""),
]


def script() -> str:
    text = remote_command.render_script(
        "step", "true\n", FILES, purpose="take a step", machine="vm-1", secrets=True
    )
    return remote_command.add_secrets(text, json.dumps({"key": SECRET}))


def changed(old: str) -> str:
    """The script with another name for a field of the manifest."""
    text = script()
    assert f'"{old}":' in text
    return text.replace(f'"{old}":', f'"other_{old}":')


def read_for_review(text: str) -> list[InstalledFile]:
    return list(CommandPlan.read({"stdin": text}).manifest.files)


def read_for_policies(text: str) -> bool:
    args = ResourceValidationArgs(
        "command:remote:Command", {"stdin": text}, "urn", "step", options(), None
    )
    problems = [*resources.unknown_command(args)]
    if problems:
        raise ManifestError(problems[0])
    return "`stdin` has secrets" in "".join(resources.shown_secrets(args))


def record(folder: Path, text: str) -> Path:
    """The record of the command on the machine."""
    (folder / "manifest.json").write_text(f"{manifest.split(text)[0]}\n")
    (folder / "secret-files").write_text("abc  /etc/key\n")
    return folder


def test_all_readers_read_it(tmp_path: Path) -> None:
    found = read_for_review(script())
    assert [(file.mode, file.path) for file in found] == [
        ("0640", "/etc/text"),
        ("0644", "/etc/binary"),
        ("0600", "/etc/key"),
    ]
    assert [file.sha256 for file in found] == [
        manifest.digest(b"one\ntwo\n"),
        manifest.digest(b"\0\1"),
        None,
    ]
    assert read_for_policies(script())
    described = json.loads(manifest.split(script())[0])
    assert drift.files_of(described, record(tmp_path, script())) == [
        (file.mode, file.sha256 or "abc", Path(file.path)) for file in found
    ]
    (tmp_path / "unfinished").touch()
    assert "the last run of the command to take a step did not finish" in drift.drift_of(tmp_path)


FIELDS = [*Manifest.model_fields, "path", "mode", "sha256", "lines"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("read", [read_for_review, read_for_policies])
def test_another_shape_is_refused(read: Callable[[str], Any], field: str) -> None:
    with pytest.raises(ManifestError):
        read(changed(field))


@pytest.mark.parametrize(
    "stdin", ["", "reboot\n", " " + script(), "\n" + script(), "manifest=$(cat <<'X'\n{}\nX\n)\n"]
)
def test_the_environment_describes_only_a_script_that_is_hidden(stdin: str) -> None:
    """A command that was made by hand cannot pass for one of the program."""
    shown = manifest.split(script())[0]
    assert manifest.read(None, shown) == manifest.read(script(), shown)
    with pytest.raises(ManifestError, match="the script does not start with a manifest"):
        manifest.read(stdin, shown)
    inputs = {"stdin": stdin, "environment": {manifest.VARIABLE: shown}}
    with pytest.raises(ManifestError):
        CommandPlan.read(inputs)
    args = ResourceValidationArgs("command:remote:Command", inputs, "urn", "step", options(), None)
    assert [*resources.unknown_command(args)]


def test_a_hidden_script_without_a_manifest_is_refused() -> None:
    with pytest.raises(ManifestError):
        manifest.read(None)


@pytest.mark.parametrize("field", ["purpose", "files", "path", "mode", "sha256"])
def test_another_shape_is_drift(field: str, tmp_path: Path) -> None:
    [found] = drift.drift_of(record(tmp_path, changed(field)))
    assert "manifest.json cannot be read" in found


def test_no_manifest_of_the_program_holds_a_secret_or_leaves_a_file_out() -> None:
    """Every command of the program, with users and document search."""
    people = [{"email": "alice@example.com", "name": "Alice"}]
    program = whole_program("dev", users=json.dumps(people), probeFrom="machine")
    for command in program.of("command:remote:Command"):
        stdin = command.inputs["stdin"]
        described = manifest.read(stdin)
        contents, own = manifest.contents(described, stdin)
        assert not re.search(r"\bput(_secret)? ", own), command.name
        assert contents.keys() <= {file.path for file in described.files}
        shown = (command.inputs.get("environment") or {}).get(manifest.VARIABLE)
        assert (shown is not None) == described.secrets == ("stdin" in command.secrets)
        if shown:
            assert shown == manifest.split(stdin)[0]
            secrets = json.loads(stdin.split("<<'END_OF_SECRETS'\n")[1].split("\n")[0])
            assert not [text for text in secrets.values() if text in shown]
        assert "environment" not in command.secrets


def test_the_machine_accepts_the_variable() -> None:
    text = remote_command.render_file("/etc/ssh/sshd_config.d/10-ollamazure.conf")
    assert f"AcceptEnv {manifest.VARIABLE}\n" in text
