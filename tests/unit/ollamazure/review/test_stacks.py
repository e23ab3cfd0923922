"""Finding the stacks that a branch touches."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ollamazure.review import stacks

pytestmark = pytest.mark.unit


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with three stacks and a program, on a branch."""
    for name in ("Pulumi.dev.yaml", "Pulumi.local.yaml", "Pulumi.prod.yaml", "__main__.py"):
        (tmp_path / name).write_text(f"# {name}\n" * 9)
    run(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit(tmp_path)
    run(tmp_path, "checkout", "--quiet", "-b", "change")
    return tmp_path


def run(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def commit(folder: Path) -> None:
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--message", "x")


def write(folder: Path, name: str, text: str = "changed\n") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("Pulumi.dev.yaml", ["dev"]),
        ("Pulumi.local.yaml", []),
        ("Pulumi.new.yaml", ["new"]),
        ("Pulumi.Prod_EU.yaml", ["Prod_EU"]),
        ("Pulumi.eu.west.yaml", ["eu.west"]),
        ("Pulumi.<img src=x>.yaml", ["dev", "prod"]),
        ("Pulumi.prod..yaml", ["dev", "prod"]),
        ("Pulumi.d/x.yaml", ["dev", "prod"]),
        ("__main__.py", ["dev", "prod"]),
        ("Pulumi.yaml", ["dev", "prod"]),
        ("components/network.py", ["dev", "prod"]),
        ("guest/etc/nginx/nginx.conf.j2", ["dev", "prod"]),
        ("guest/README.md", ["dev", "prod"]),
        ("requirements.txt", ["dev", "prod"]),
        ("policy/policies.py", ["dev", "prod"]),
        ("handbook/rules.md", ["dev", "prod"]),
        ("requirements-dev.txt", []),
        ("README.md", []),
        ("docs/explanation/guide.md", []),
        ("tests/unit/test_docs.py", []),
        ("emulator/cli.py", []),
        ("provider/example/Pulumi.yaml", []),
        ("provider/private_chat.py", []),
        (".github/workflows/test.yml", []),
        ("Makefile", []),
    ],
)
@pytest.mark.parametrize("committed", [True, False])
def test_a_file_touches(name: str, touched: list[str], committed: bool, tree: Path) -> None:
    write(tree, name)
    if committed:
        commit(tree)
    assert stacks.find_touched("main", tree) == touched


@pytest.mark.parametrize(
    ("name", "touched"),
    [
        ("docs/team.yaml", ["prod"]),
        ("handbook/leave/parents.md", ["prod"]),
        ("handbook.md", []),
    ],
)
def test_a_named_file_touches_only_the_stack_that_names_it(
    name: str, touched: list[str], tree: Path
) -> None:
    run(tree, "checkout", "--quiet", "main")
    write(tree, "Pulumi.prod.yaml", "config:\n  ollamazure:teamFile: docs/team.yaml\n")
    write(tree, "docs/team.yaml", "knowledge:\n  - name: Handbook\n    files: [./handbook]\n")
    write(tree, "handbook/leave/parents.md", "before\n")
    commit(tree)
    run(tree, "checkout", "--quiet", "-B", "change")
    text = tree / name
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text((text.read_text() if text.exists() else "") + "# changed\n")
    assert stacks.find_touched("main", tree) == touched


def test_changed_files_of_stacks_that_cannot_have_their_name(tree: Path) -> None:
    run(tree, "checkout", "--quiet", "main")
    write(tree, "Pulumi.old..yaml")
    commit(tree)
    run(tree, "checkout", "--quiet", "-B", "change")
    for name in ("Pulumi.prod..yaml", "Pulumi.<img src=x>.yaml", "Pulumi.new.yaml"):
        write(tree, name)
    commit(tree)
    refused = stacks.find_refused(stacks.find_merge_base("main", tree), tree)
    assert refused.keys() == {"Pulumi.prod..yaml", "Pulumi.<img src=x>.yaml"}
    assert stacks.list_stacks(tree) == {"dev", "local", "prod", "new"}


def test_nothing_changed_touches_nothing(tree: Path) -> None:
    assert stacks.find_touched("main", tree) == []


def test_a_renamed_stack_file_touches_both_stacks(tree: Path) -> None:
    (tree / "Pulumi.dev.yaml").rename(tree / "Pulumi.talk.yaml")
    commit(tree)
    assert stacks.find_touched("main", tree) == ["dev", "talk"]


def test_later_changes_of_the_base_do_not_count(tree: Path) -> None:
    run(tree, "checkout", "--quiet", "main")
    write(tree, "__main__.py")
    commit(tree)
    run(tree, "checkout", "--quiet", "change")
    assert stacks.find_touched("main", tree) == []


def test_the_command_prints_json(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tree, "Pulumi.prod.yaml")
    assert stacks.main(["--base", "main", "--folder", str(tree)]) == 0
    assert json.loads(capsys.readouterr().out) == ["prod"]


def test_a_base_that_git_does_not_know_is_an_error(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stacks.main(["--base", "nowhere", "--folder", str(tree)]) == 1
    assert "fetch-depth: 0" in capsys.readouterr().err
