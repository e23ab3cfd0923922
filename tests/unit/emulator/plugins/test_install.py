"""Which plugins are the official ones, and which of ours answer instead."""

from __future__ import annotations

import ast
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from emulator.instance import PROJECT, Instance
from emulator.plugins.install import (
    MissingPluginError,
    Plugin,
    PluginChoice,
    emulated_azure_answers,
    install,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user/.cache"))
    monkeypatch.delenv("OLLAMAZURE_PLAN", raising=False)
    # So that these tests hold without the folder as well.
    stand_in = property(lambda plugin: f"emulator.offline.{plugin.name}")
    monkeypatch.setattr(Plugin, "stand_in", stand_in)
    opened = Instance.open(tmp_path / "instance")
    yield opened
    opened.release()


@pytest.fixture
def cli(tmp_path: Path) -> Path:
    """A Pulumi CLI that records its arguments, in a network without access to the internet."""
    file = tmp_path / "cli" / "pulumi"
    return program(file, f'echo "$@" >>{file}.asked; exit 1')


def program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def plugin(file: Path, number: str) -> Path:
    """A plugin that reports this version."""
    start = (
        "from emulator.plugins.provider import PluginServicer, serve; "
        f"serve(lambda engine: PluginServicer({number!r}, engine))"
    )
    command = ["env", f"PYTHONPATH={PROJECT}", sys.executable, "-c", start]
    return program(file, f'exec {shlex.join(command)} "$@"')


def chosen(choices: list[PluginChoice]) -> dict[str, bool]:
    return {choice.plugin.name: choice.official for choice in choices}


def test_stand_ins_where_nothing_official_can_be_had(instance: Instance, cli: Path) -> None:
    choices = install(instance, cli)
    assert not any(chosen(choices).values())
    assert [str(choice) for choice in choices][1:3] == [
        "command 1.2.1: stand-in (the official one cannot be downloaded here)",
        "tls 5.6.2: stand-in (the official one cannot be downloaded here)",
    ]
    asked = Path(f"{cli}.asked").read_text()
    assert "plugin install resource command 1.2.1\n" in asked
    for choice in choices:
        executable = instance.pulumi_home / "plugins" / choice.plugin.folder
        assert (executable / choice.plugin.executable).stat().st_mode & 0o111

    # The second time nothing is tried and nothing is written.
    files = {file: file.stat().st_mtime_ns for file in instance.pulumi_home.rglob("*")}
    assert install(instance, cli) == choices
    assert {file: file.stat().st_mtime_ns for file in instance.pulumi_home.rglob("*")} == files
    assert Path(f"{cli}.asked").read_text() == asked


def test_a_download_that_failed_is_tried_again_after_a_day(
    instance: Instance, cli: Path, tmp_path: Path
) -> None:
    install(instance, cli)
    asked = Path(f"{cli}.asked").read_text()
    other = Instance.open(tmp_path / "other")
    install(other, cli)
    assert Path(f"{cli}.asked").read_text() == asked

    noted = tmp_path / "user/.cache/ollamazure/plugins-not-downloaded.json"
    before = {name: when - 25 * 60 * 60 for name, when in json.loads(noted.read_text()).items()}
    noted.write_text(json.dumps(before))
    install(other, cli)
    assert len(Path(f"{cli}.asked").read_text()) == 2 * len(asked)
    other.release()


def test_an_official_plugin_on_the_path(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(instance, cli)
    official = plugin(tmp_path / "path" / "pulumi-resource-command", "1.2.1")
    monkeypatch.setenv("PATH", f"{official.parent}:/usr/bin:/bin")
    assert chosen(install(instance, cli))["command"]
    installed = instance.pulumi_home / "plugins/resource-command-v1.2.1/pulumi-resource-command"
    assert installed.resolve() == official
    # When it is removed, the stand-in answers again.
    official.unlink()
    assert not chosen(install(instance, cli))["command"]
    assert "emulator.offline.command" in installed.read_text()


def test_what_is_no_version_of_the_program_on_the_path_is_not_used_and_named(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "path"
    plugin(folder / "pulumi-resource-tls", "4.11.0")
    program(folder / "pulumi-resource-random", "echo official")
    program(folder / "pulumi-resource-command", "echo 1; exec sleep 600")
    program(folder / "pulumi-language-python", "exit 1")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    choices = install(instance, cli)
    assert not any(chosen(choices).values())
    refused = [choice.refused for choice in choices if choice.refused]
    found = ["no version that it reports", "4.11.0", *["no version that it reports"] * 2]
    names = ("resource-command", "resource-tls", "resource-random", "language-python")
    for line, name, reported in zip(refused, names, found, strict=True):
        assert line.startswith(f"{folder}/pulumi-{name} is not used: it is {reported}, and ")


def test_a_plugin_on_the_path_that_is_upgraded_is_asked_again(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = plugin(tmp_path / "path" / "pulumi-resource-tls", "5.6.2")
    monkeypatch.setenv("PATH", f"{official.parent}:/usr/bin:/bin")
    assert chosen(install(instance, cli))["tls"]
    plugin(official, "6.0.0")
    os.utime(official, (later := time.time() + 1, later))
    assert not chosen(install(instance, cli))["tls"]


def test_a_plugin_that_the_user_has(instance: Instance, cli: Path, tmp_path: Path) -> None:
    kept = tmp_path / "user/.pulumi/plugins"
    program(kept / "resource-tls-v5.6.2/pulumi-resource-tls", "echo official")
    program(kept / "resource-random-v4.0.0/pulumi-resource-random", "echo another version")
    choices = chosen(install(instance, cli))
    assert choices["tls"]
    assert not choices["random"]
    assert "tls" not in Path(f"{cli}.asked").read_text()


def downloading(cli: Path, name: str) -> Path:
    """Let the CLI download this one plugin."""
    return program(
        cli,
        f'[ "$4" = {name} ] || exit 1\n'
        'cd "$PULUMI_HOME"; mkdir -p plugins/resource-$4-v$5\n'
        "echo official >plugins/resource-$4-v$5/pulumi-resource-$4",
    )


def test_a_plugin_that_is_downloaded(instance: Instance, cli: Path) -> None:
    for _ in range(2):
        choices = chosen(install(instance, downloading(cli, "random")))
        assert choices["random"]
        assert not choices["tls"]


def test_a_download_that_breaks_off_leaves_nothing(instance: Instance, cli: Path) -> None:
    breaking = program(cli, 'mkdir -p "$PULUMI_HOME/plugins/resource-$4-v$5.tmp1"; exit 1')
    install(instance, breaking)
    assert not list(instance.pulumi_home.glob("plugins/*.tmp1"))


def test_a_language_host_beside_the_cli(instance: Instance, cli: Path) -> None:
    program(cli.parent / "pulumi-language-python", "echo official")
    assert chosen(install(instance, cli))["python"]
    assert not list(instance.pulumi_home.glob("plugins/language-*"))


def test_azure_native_is_the_official_one_only_on_request(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = plugin(
        tmp_path / "path" / "pulumi-resource-azure-native", version("pulumi-azure-native")
    )
    monkeypatch.setenv("PATH", f"{official.parent}:/usr/bin:/bin")
    for wanted in (False, True, False):
        assert chosen(install(instance, cli, official_azure=wanted))["azure-native"] == wanted
        assert emulated_azure_answers(instance) != wanted


def test_an_official_azure_native_that_cannot_be_had_is_named_with_its_command(
    instance: Instance, cli: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(instance, cli)
    monkeypatch.setattr(Plugin, "stand_in", None)
    command = f"pulumi plugin install resource azure-native {version('pulumi-azure-native')}"
    with pytest.raises(MissingPluginError, match=command):
        install(instance, cli, official_azure=True)


def test_in_plan_mode_commands_are_recorded_even_where_the_official_plugin_is(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = plugin(tmp_path / "path" / "pulumi-resource-command", "1.2.1")
    monkeypatch.setenv("PATH", f"{official.parent}:/usr/bin:/bin")
    installed = instance.pulumi_home / "plugins/resource-command-v1.2.1/pulumi-resource-command"
    assert not chosen(install(instance, cli, plan=True))["command"]
    assert "emulator.plugins.recorder" in installed.read_text()
    assert official.read_text().startswith("#!/bin/sh\nexec ")
    assert chosen(install(instance, cli, plan=False))["command"]
    assert installed.resolve() == official


def test_plan_mode_keeps_what_was_downloaded(instance: Instance, cli: Path) -> None:
    installed = instance.pulumi_home / "plugins/resource-command-v1.2.1/pulumi-resource-command"
    install(instance, downloading(cli, "command"), plan=False)
    install(instance, cli, plan=True)
    assert "emulator.plugins.recorder" in installed.read_text()
    assert chosen(install(instance, cli, plan=False))["command"]
    assert installed.read_text() == "official\n"


def test_without_stand_ins_what_is_missing_is_named_with_its_command(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(instance, cli)
    monkeypatch.setattr(Plugin, "stand_in", None)
    official = plugin(tmp_path / "path" / "pulumi-resource-random", "4.21.4")
    other = program(official.with_name("pulumi-resource-tls"), "echo official")
    monkeypatch.setenv("PATH", f"{official.parent}:/usr/bin:/bin")
    with pytest.raises(MissingPluginError) as missing:
        install(instance, cli, official=False)
    text = str(missing.value)
    assert "run `pulumi plugin install resource command 1.2.1`" in text
    assert "pulumi-language-python 3.259.0: it comes with Pulumi; put it on PATH" in text
    assert "random" not in text
    assert f"    {other} is not used: it is no version that it reports, and " in text
    # An executable that would start a missing module is removed.
    assert not list(instance.pulumi_home.glob("plugins/*/pulumi-resource-tls"))


def test_nothing_outside_the_stand_ins_imports_them() -> None:
    for file in (PROJECT / "emulator").rglob("*.py"):
        if (PROJECT / "emulator" / "offline") in file.parents:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in getattr(node, "names", []) if hasattr(each, "name")]
            assert not [name for name in names if "offline" in name], file
