"""The names of resource groups and stacks."""

from __future__ import annotations

import pytest

from ollamazure.names import STACK_NAME, fault_of_stack_name, group_names, stack_of_file
from tools import post


def test_the_data_disk_has_a_group_of_its_own() -> None:
    names = group_names("ollamazure", "prod")
    assert names == ("ollamazure-prod", "ollamazure-prod-data")
    assert (names.chat, names.data) == names


@pytest.mark.parametrize("stack", ["dev", "Prod_EU", "eu.west", "_a", "1", "a-", "a" * 73])
def test_a_stacks_name_that_azure_takes(stack: str) -> None:
    assert fault_of_stack_name("ollamazure", stack) is None
    assert stack_of_file(f"Pulumi.{stack}.yaml") == stack


@pytest.mark.parametrize(
    ("stack", "fault"),
    [
        *(
            (stack, "no dot last")
            for stack in ("prod.", ".prod", "-prod", "", "a b", "a/b", "é", "a\n")
        ),
        ("<img src=x>", "not letters"),
        ("a" * 74, "1 characters too long"),
    ],
)
def test_a_stacks_name_that_azure_or_a_command_would_refuse(stack: str, fault: str) -> None:
    assert fault in str(fault_of_stack_name("ollamazure", stack))


def test_the_name_of_the_project_counts_for_the_length() -> None:
    assert "30 characters too long" in str(fault_of_stack_name("p" * 80, "a" * 33))


def test_comments_are_posted_for_the_same_names() -> None:
    assert post.STACK_NAME == STACK_NAME
