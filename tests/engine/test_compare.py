"""What a pull request changes, found without an account: base deployed, branch previewed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emulator.instance import PROJECT
from tests.engine.clone import clone, commit, git

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project on `main`, with a broken ancestor called `broken`."""
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
    """The project on `main`, as it was."""
    git(repository, "checkout", "--quiet", "--force", "main")
    git(repository, "clean", "--quiet", "-d", "--force")
    return repository


def compare(tree: Path, stack: str, base: str = "main", code: int = 0) -> str:
    """The comment about a stack; everything that was made for it is gone."""
    output = tree.parent / "comment.md"
    done = subprocess.run(
        command(tree, stack, base, output), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert left(tree) == []
    return output.read_text()


def command(tree: Path, stack: str, base: str, output: Path) -> list[str]:
    asked = ["--stack", stack, "--base", base, "--folder", str(tree), "--output", str(output)]
    return [sys.executable, "-m", "ollamazure.review.compare", *asked]


def left(tree: Path) -> list[str]:
    """What a comparison has not taken away: worktrees, folders, processes."""
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
    # What this test itself is called by must not look like something left over.
    monkeypatch.delenv("OLLAMAZURE_EMULATOR", raising=False)


def test_a_changed_setting_shows_as_what_it_changes(tree: Path) -> None:
    file = tree / "Pulumi.dev.yaml"
    file.write_text(file.read_text().replace("- llama3.2:1b", "- llama3.2:1b\n    - qwen3:0.6b"))
    comment = compare(tree, "dev")
    assert "**1 added. Users are not interrupted.**" in comment
    assert "| Application | added | model `qwen3:0.6b` |" in comment
    assert "a month, as before" in comment
    assert git(tree, "rev-parse", "main")[:10] in comment
    assert "connection            : [secret]" in comment and "PRIVATE KEY" not in comment


def test_a_new_stack_is_made_and_a_bad_setting_told(tree: Path) -> None:
    file = tree / "Pulumi.team-two.yaml"
    file.write_text((tree / "Pulumi.dev.yaml").read_text().replace("Standard_B2ms", "Standard_B2"))
    comment = compare(tree, "team-two", code=1)
    assert "cannot be applied" in comment and "Standard_B2" in comment
    assert "The stack file is new: everything is made." in comment


def test_a_base_that_does_not_deploy_is_said(tree: Path) -> None:
    git(tree, "checkout", "--quiet", "fixed")
    (tree / "Pulumi.dev.yaml").write_text("config: {}\n")
    comment = compare(tree, "dev", base="broken", code=1)
    assert "does not deploy: everything shows as new" in comment
    assert "the program of the base is broken" in comment
    assert "ollamazure:sshClients" in comment


def test_an_end_half_way_leaves_nothing(tree: Path) -> None:
    asked = command(tree, "dev", "main", tree.parent / "never.md")
    process = subprocess.Popen(asked, cwd=PROJECT, env=os.environ)
    while not any(temporary(tree).glob("ollamazure-review-*/emulator/azure/state.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert left(tree) == []
