"""Which plugins are the official ones, and which are stood in for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.instance import Instance
from emulator.plugins.install import Choice, install

pytestmark = pytest.mark.unit


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    opened = Instance.open(tmp_path / "instance")
    yield opened
    opened.release()


@pytest.fixture
def cli(tmp_path: Path) -> Path:
    """A Pulumi CLI that notes what it was asked for, in a network without a way out."""
    file = tmp_path / "cli" / "pulumi"
    return program(file, f'echo "$@" >>{file}.asked; exit 1')


def program(file: Path, script: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def chosen(choices: list[Choice]) -> dict[str, bool]:
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


def test_a_stand_in_answers_with_its_port(instance: Instance, cli: Path) -> None:
    install(instance, cli, official=False)
    for started in sorted(instance.pulumi_home.glob("plugins/*/pulumi-*")):
        if "azure" in started.name:
            continue
        running = subprocess.Popen(
            [started, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True, cwd="/"
        )
        assert running.stdout
        assert int(running.stdout.readline())
        running.terminate()
        assert running.wait() == 0


def test_a_stand_in_runs_this_python(instance: Instance, cli: Path) -> None:
    install(instance, cli, official=False)
    written = (instance.pulumi_home / "plugins/resource-tls-v5.6.2/pulumi-resource-tls").read_text()
    assert f"exec {sys.executable} " in written


def test_an_official_plugin_on_the_path(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(instance, cli)
    official = program(tmp_path / "path" / "pulumi-resource-command", "echo official")
    monkeypatch.setenv("PATH", f"{official.parent}:/usr/bin:/bin")
    assert chosen(install(instance, cli))["command"]
    installed = instance.pulumi_home / "plugins/resource-command-v1.2.1/pulumi-resource-command"
    assert installed.resolve() == official
    # When it goes, the stand-in is back.
    official.unlink()
    assert not chosen(install(instance, cli))["command"]
    assert "emulator.offline.command" in installed.read_text()


def test_a_plugin_that_the_user_has(instance: Instance, cli: Path, tmp_path: Path) -> None:
    kept = tmp_path / "user/.pulumi/plugins"
    program(kept / "resource-tls-v5.6.2/pulumi-resource-tls", "echo official")
    program(kept / "resource-random-v4.0.0/pulumi-resource-random", "echo another version")
    choices = chosen(install(instance, cli))
    assert choices["tls"]
    assert not choices["random"]
    assert "tls" not in Path(f"{cli}.asked").read_text()


def test_a_plugin_that_is_downloaded(instance: Instance, cli: Path) -> None:
    downloading = program(
        cli,
        '[ "$4" = random ] || exit 1\n'
        'cd "$PULUMI_HOME"; mkdir -p plugins/resource-$4-v$5\n'
        "echo official >plugins/resource-$4-v$5/pulumi-resource-$4",
    )
    for _ in range(2):
        choices = chosen(install(instance, downloading))
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


def test_azure_native_is_never_the_official_one(
    instance: Instance, cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = program(tmp_path / "path" / "pulumi-resource-azure-native", "echo official")
    monkeypatch.setenv("PATH", f"{official.parent}:/usr/bin:/bin")
    assert not chosen(install(instance, cli))["azure-native"]
