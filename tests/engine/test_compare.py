"""Comparisons without an account: the base is deployed, then the branch is previewed on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engine.clone import clone, commit, git

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project on `main`; the branch `fixed` has the ancestor `broken`."""
    place = tmp_path_factory.mktemp("compare") / "tree"
    clone(place)
    git(place, "checkout", "--quiet", "-b", "broken")
    (place / "__main__.py").write_text("raise SystemExit('the program of the base is broken')\n")
    commit(place)
    git(place, "checkout", "--quiet", "-B", "fixed")
    git(place, "checkout", "--quiet", "main", "--", "__main__.py")
    commit(place)
    return place


@pytest.fixture
def tree(repository: Path) -> Path:
    """The project on `main`, without the changes of other tests."""
    git(repository, "checkout", "--quiet", "--force", "main")
    git(repository, "clean", "--quiet", "-d", "--force")
    return repository


def compare(tree: Path, stack: str, base: str = "main", code: int = 0) -> str:
    """The comment about a stack; checks that the comparison cleaned up."""
    output = tree.parent / "comment.md"
    command = compare_command(stack, base, output)
    completed = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert completed.returncode == code, completed.stderr
    assert find_remains(tree) == []
    return output.read_text()


def compare_command(stack: str, base: str, output: Path) -> list[str]:
    """Compares the tree in the folder in which it runs."""
    preview = [sys.executable, "-m", "ollamazure.cli", "preview"]
    return [*preview, "--stack", stack, "--base", base, "--output", str(output)]


def find_remains(tree: Path) -> list[str]:
    """What a comparison has not removed: worktrees, folders, processes."""
    worktrees = git(tree, "worktree", "list", "--porcelain").count("worktree ") - 1
    folders = [str(folder) for folder in temporary(tree).glob("ollamazure-review-*")]
    processes = [
        (entry / "cmdline").read_text()
        for entry in Path("/proc").glob("[0-9]*")
        if str(temporary(tree)).encode() in environment(entry)
    ]
    return ["worktree"] * worktrees + folders + processes


def temporary(tree: Path) -> Path:
    return tree.parent / "temporary"


def environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


@pytest.fixture(autouse=True)
def own_temporary_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary(tree).mkdir(exist_ok=True)
    monkeypatch.setenv("TMPDIR", str(temporary(tree)))
    # Otherwise the tests' own processes would look like remains.
    monkeypatch.delenv("OLLAMAZURE_EMULATOR", raising=False)


@pytest.mark.long
def test_the_comment_about_a_changed_setting(tree: Path) -> None:
    file = tree / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace("- llama3.2:1b", "- llama3.2:1b\n    - qwen3:0.6b"))
    comment = compare(tree, "dev")
    assert "**1 added. Users are not interrupted.**" in comment
    assert "| Application | added | model `qwen3:0.6b` |" in comment
    assert "a month, as before" in comment
    assert git(tree, "rev-parse", "main")[:10] in comment
    assert "connection            : [secret]" in comment and "PRIVATE KEY" not in comment


@pytest.mark.long
def test_the_comment_about_a_new_stack_with_an_invalid_setting(tree: Path) -> None:
    file = tree / "Pulumi.team-two.yaml"
    file.write_text((tree / "Pulumi.dev.yaml").read_text().replace("Standard_B2ms", "Standard_B2"))
    comment = compare(tree, "team-two", code=1)
    assert "cannot be deployed" in comment and "Standard_B2" in comment
    assert "The stack file is new, so this creates an environment." in comment


@pytest.mark.long
def test_the_comment_about_a_base_that_cannot_be_deployed(tree: Path) -> None:
    git(tree, "checkout", "--quiet", "fixed")
    (tree / "Pulumi.dev.yaml").write_text("config:\n  ollamazure:location: nowhere\n")
    comment = compare(tree, "dev", base="broken", code=1)
    assert "cannot be deployed, so everything is shown as new" in comment
    assert "the program of the base is broken" in comment
    assert "ollamazure:location" in comment


def test_an_interrupted_comparison_cleans_up(tree: Path) -> None:
    command = compare_command("dev", "main", tree.parent / "never.md")
    process = subprocess.Popen(command, cwd=tree, env=os.environ)
    while not any(temporary(tree).glob("ollamazure-review-*/emulator/azure/state.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert find_remains(tree) == []
