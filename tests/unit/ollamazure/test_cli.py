"""The command line: options, exit codes, and which function gets them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ollamazure import cli
from ollamazure.new.wishes import OPTIONS
from ollamazure.operate.logs import Unit, journal_command
from ollamazure.operate.pulumi import PROJECT, OperateError
from tools.command_line import command_line_page, help_of

COMMANDS = ["new", "preflight", "status", "logs", "ssh", "drift", "start", "stop"]
COMMANDS += ["undo-upgrade", "backup", "restore", "people", "usage", "preview", "bootstrap"]
COMMANDS += ["sign-in"]
PAGE = PROJECT / "docs" / "reference" / "command-line.md"


def run(*words: str) -> Any:
    return CliRunner().invoke(cli.app, words)


class Calls:
    """Stands in for a module's function: keeps its arguments and returns a code."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.arguments: tuple[Any, ...] = ()
        self.keywords: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **keywords: Any) -> int:
        self.arguments, self.keywords = arguments, keywords
        return self.code


def test_these_are_the_commands() -> None:
    assert list(get_command(cli.app).commands) == COMMANDS  # type: ignore[attr-defined]
    for name in COMMANDS:
        assert f"  {name} " in run().output, "without a command, the help is printed"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_works_on_one_stack_and_documents_its_exit_codes(name: str) -> None:
    makes_it = name == "new"
    assert ("STACK <str>" if makes_it else "-s, --stack NAME") in help_of(name)
    assert "Exit codes: " in help_of(name)
    without = run(name)
    assert without.exit_code == 2
    missing = "Missing argument 'STACK'" if makes_it else "Missing option '--stack'"
    assert missing in without.output


def test_the_wishes_of_a_new_stack_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Calls(1)
    monkeypatch.setattr("ollamazure.new.command.run", new)
    words = [
        "--people",
        "20",
        "--language",
        "fr,German",
        "--language",
        "es",
        "--gpu",
        "no",
        "--yes",
    ]
    assert run("new", "team", *words).exit_code == 1
    wishes = {"people": "20", "languages": ["fr", "German", "es"], "gpu": "no"}
    assert new.arguments == ("team", wishes)
    assert new.keywords == {"yes": True, "folder": PROJECT}
    assert run("new", "team").exit_code == 1
    assert new.arguments == ("team", {})
    assert {option for option in OPTIONS.values() if option not in help_of("new")} == set()


def test_the_reference_has_the_help_of_every_command() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"\n## {name}\n\n```text\n{help_of(name)}```\n" in page, "run `make generate`"
    assert page == command_line_page(), "run `make generate`"


@pytest.mark.parametrize("code", [0, 1, 2])
def test_status_and_drift_end_with_the_code_of_their_result(
    code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status, drift = Calls(code), Calls(code)
    monkeypatch.setattr("ollamazure.operate.status.run", status)
    monkeypatch.setattr("ollamazure.operate.drift.run", drift)
    assert run("status", "--stack", "local").exit_code == code
    assert status.arguments == ("local", "bin/pulumi-local")
    assert status.keywords == {"as_json": False}
    assert run("status", "--stack", "local", "--json").exit_code == code
    assert status.keywords == {"as_json": True}

    monkeypatch.chdir(tmp_path)
    assert run("drift", "--stack", "local", "--markdown", "report.md").exit_code == code
    assert drift.arguments == ("local", "bin/pulumi-local", tmp_path / "report.md")


def test_a_restore_reads_the_key_and_not_the_answer_from_standard_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restore = Calls(0)
    monkeypatch.setattr("ollamazure.operate.backup.restore", restore)
    words = ["restore", "--stack", "local", "--other-key"]
    assert CliRunner().invoke(cli.app, [*words, "--yes"], input="the-key\n").exit_code == 0
    assert restore.arguments == ("local", "bin/pulumi-local", None, "the-key")
    done = CliRunner().invoke(cli.app, words, input="another-key\nn\n")
    assert done.exit_code == 1
    assert "another-key" not in done.output
    assert restore.arguments == ("local", "bin/pulumi-local", None, "the-key")


@pytest.mark.parametrize("name", ["status", "logs", "ssh", "drift"])
def test_a_machine_that_cannot_be_queried_is_code_2(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> int:
        raise OperateError("the machine is off")

    monkeypatch.setattr(f"ollamazure.operate.{name}.run", fail)
    result = run(name, "--stack", "local")
    assert result.exit_code == 2
    assert result.stderr == f"{name}: the machine is off\n"


def test_the_logs_of_all_services_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Calls(0)
    monkeypatch.setattr("ollamazure.operate.logs.run", ran)
    run("logs", "--stack", "local")
    assert ran.arguments[2] == journal_command(list(Unit), "1h", follow=False)

    run("logs", "--stack", "local", "-u", "nginx", "-u", "ollama", "--since", "2d", "--follow")
    assert ran.arguments[2] == journal_command([Unit.NGINX, Unit.OLLAMA], "2d", follow=True)

    run("logs", "--stack", "local", "--audit", "--since", "2d")
    assert ran.arguments[2] == "sudo /usr/local/lib/ollamazure/audit_log.py -2d"
    assert run("logs", "--stack", "local", "--audit", "--follow").exit_code == 2
    assert run("logs", "--stack", "local", "--unit", "sshd").exit_code == 2


def test_options_of_a_command_on_the_machine_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = Calls(7)
    monkeypatch.setattr("ollamazure.operate.ssh.run", ssh)
    result = run("ssh", "--stack", "local", "df", "--human-readable", "-s", "/srv/data")
    assert result.exit_code == 7
    assert ssh.arguments[2] == ["df", "--human-readable", "-s", "/srv/data"]


def test_only_the_emulated_azure_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[str] = []
    monkeypatch.setattr(cli, "choose_pulumi", lambda _, emulated: "bin/pulumi-local" * emulated)
    monkeypatch.setattr("ollamazure.operate.status.run", Calls(0))
    monkeypatch.setattr(cli, "become_root", lambda: became.append("root"))
    run("status", "--stack", "dev")
    assert became == []
    run("status", "--stack", "dev", "--emulated")
    assert became == ["root"]


def test_preview_compares_the_project_wherever_it_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compare = Calls(3)
    monkeypatch.setattr("ollamazure.review.compare.run", compare)
    monkeypatch.chdir(tmp_path)
    result = run("preview", "--stack", "dev", "--base", "main", "--diff", "--output", "comment.md")
    assert result.exit_code == 3
    assert compare.arguments == ("dev",)
    assert compare.keywords == {"base": "main", "diff": True, "output": tmp_path / "comment.md"}
    assert Path.cwd() == PROJECT


def test_the_shell_completes_stacks() -> None:
    assert {"dev", "prod", "local"} <= set(cli.stack_names())
    environment = {
        **os.environ,
        "_OLLAMAZURE_COMPLETE": "complete_bash",
        "COMP_WORDS": "ollamazure status --stack pr",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [PROJECT / "bin" / "ollamazure"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["prod"]


def test_without_an_environment_the_command_names_pulumi_install(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(PROJECT / "bin" / "ollamazure", tmp_path / "bin")
    done = subprocess.run(
        [tmp_path / "bin" / "ollamazure", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Run `pulumi install`" in done.stderr
