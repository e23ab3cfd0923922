"""What a comparison says of stacks that come and go; deploying is another test's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamazure.preview.text import plain
from ollamazure.review import compare
from ollamazure.review.stacks import merge_base
from tests.engine.clone import commit, git

pytestmark = pytest.mark.unit


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository in which the stack `dev` got the name `talk`."""
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  ollamazure:location: francecentral\n" * 5)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit(tmp_path)
    git(tmp_path, "checkout", "--quiet", "-b", "change")
    (tmp_path / "Pulumi.dev.yaml").rename(tmp_path / "Pulumi.talk.yaml")
    commit(tmp_path)
    return tmp_path


def test_an_environment_that_is_no_longer_described_goes_on(tree: Path) -> None:
    told = compare.against_base("dev", tree, "main")
    assert told.code == 0
    assert "no longer described. Nothing is destroyed" in told.markdown
    assert "went to `talk`, a new environment beside it" in told.markdown


def test_a_renamed_file_renames_no_environment(tree: Path) -> None:
    said = plain(compare._new("talk", tree, merge_base("main", tree)))
    assert said.startswith("The stack file was that of dev. That renames nothing")


def test_a_new_file_is_a_new_environment(tree: Path) -> None:
    (tree / "Pulumi.third.yaml").write_text("config: {}\n")
    said = plain(compare._new("third", tree, merge_base("main", tree)))
    assert said == "The stack file is new: everything is made."


def test_a_stack_that_is_nowhere_is_said(tree: Path) -> None:
    told = compare.against_base("nowhere", tree, "main")
    assert told.code == 2
    assert "Pulumi.nowhere.yaml does not exist. There are stacks talk." in told.markdown


def test_a_base_that_git_does_not_know_is_said(tree: Path) -> None:
    output = tree / "comment.md"
    asked = ["--stack", "talk", "--base", "nowhere", "--output", str(output)]
    assert compare.main([*asked, "--folder", str(tree)]) == 2
    assert "There is no merge base" in output.read_text()
