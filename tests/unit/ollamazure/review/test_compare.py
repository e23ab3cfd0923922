"""Comparisons of stacks that are added or removed; tests/engine/test_compare.py deploys."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamazure.preview.text import plain
from ollamazure.review import compare
from ollamazure.review.stacks import find_merge_base
from tests.engine.clone import commit, git

pytestmark = pytest.mark.unit


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository whose branch renames the stack file of `dev` to `talk`."""
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  ollamazure:location: francecentral\n" * 5)
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    commit(tmp_path)
    git(tmp_path, "checkout", "--quiet", "-b", "change")
    (tmp_path / "Pulumi.dev.yaml").rename(tmp_path / "Pulumi.talk.yaml")
    commit(tmp_path)
    return tmp_path


def test_removing_a_stack_file_does_not_destroy_the_environment(tree: Path) -> None:
    report = compare.compare_with_base("dev", tree, "main")
    assert report.code == 0
    assert "removes the stack file. The environment is not destroyed" in report.markdown
    assert "moved to `talk`, which is a new environment" in report.markdown


def test_renaming_a_stack_file_does_not_rename_the_environment(tree: Path) -> None:
    text = plain(compare._describe_new_file("talk", tree, find_merge_base("main", tree)))
    assert text.startswith("The stack file was renamed from dev. Pulumi does not rename")


def test_a_new_stack_file_creates_an_environment(tree: Path) -> None:
    (tree / "Pulumi.third.yaml").write_text("config: {}\n")
    text = plain(compare._describe_new_file("third", tree, find_merge_base("main", tree)))
    assert text == "The stack file is new, so this creates an environment."


def test_a_comment_names_the_stack_files_that_are_not_previewed(tree: Path) -> None:
    (tree / "Pulumi.prod..yaml").write_text("config: {}\n")
    (tree / "Pulumi.<img src=x>.yaml").write_text("config: {}\n")
    report = compare.compare_with_base("dev", tree, "main")
    assert "`Pulumi.prod..yaml` is not previewed" in report.markdown
    assert "`Pulumi.<img src=x>.yaml` is not previewed" in report.markdown
    assert "cannot have this name:** it is not letters, digits" in report.markdown


def test_a_stack_without_a_file_is_an_error(tree: Path) -> None:
    report = compare.compare_with_base("nowhere", tree, "main")
    assert report.code == 2
    assert "Pulumi.nowhere.yaml does not exist. The stacks here are talk." in report.markdown


def test_a_base_that_git_does_not_know_is_an_error(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tree / "comment.md"
    monkeypatch.chdir(tree)
    assert compare.run("talk", base="nowhere", diff=False, output=output) == 2
    assert "There is no merge base" in output.read_text()
