"""The names of what a stack creates in Azure, for everything that has to know them."""

from __future__ import annotations

from typing import NamedTuple

# The tags that the program itself sets; the last one is on the machine only.
TAGS = ("project", "stack", "machineClass")


class GroupNames(NamedTuple):
    """The names of a stack's resource groups.

    Attributes:
        chat: the group of the machine and its network.
        data: the group of the data disk. Deleting a group deletes what is in it, so the disk has
            a group of its own.
    """

    chat: str
    data: str


def group_names(project: str, stack: str) -> GroupNames:
    """The resource groups that a stack of `project` creates."""
    chat = f"{project}-{stack}"
    return GroupNames(chat, f"{chat}-data")
