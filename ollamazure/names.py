"""The names of what a stack creates in Azure, for everything that has to know them."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

# Pulumi allows these characters. Azure refuses a . at the end of a resource group's name, and a
# command would read a name with - at the start as an option. tools/post.py has the same pattern.
STACK_NAME = r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_-])?"
LONGEST_GROUP_NAME = 90
VM = "vm"
"""The machine in the stack's resource group."""
IDENTITY = "machine"
"""The managed identity of the machine in the same group."""
BACKUPS = "backups"
"""The container of the backups in their storage account."""
BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
"""Azure's id of the role Storage Blob Data Contributor, the same in every subscription."""
CLUSTER = "chat"
"""The cluster of AKS in the stack's resource group, and the identity of its control plane."""
WEBUI_IDENTITY = "open-webui"
"""The managed identity of Open WebUI's pods in the same group."""
UPLOADS = "open-webui"
"""The container of Open WebUI's files in their storage account."""
NETWORK_CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"
"""Azure's id of the role Network Contributor."""
SCHEDULE = "schedule"
"""The managed identity of the workflows that stop and start the machine."""
POWER_ON_OFF = "40c5ff49-9181-41f8-ae61-143b0e78555e"
"""Azure's id of the role Desktop Virtualization Power On Off Contributor: of the built-in roles
that start and stop machines, the one that can change nothing else of them."""
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


def state_group_name(project: str, stack: str) -> str:
    """The resource group of a stack's state, which `bin/ollamazure bootstrap` creates."""
    return f"{group_names(project, stack).chat}-state"


def group_of(resource_id: str) -> str:
    """The name of the resource group in an ARM id."""
    return resource_id.split("/")[4]


def backup_account_name(subscription: str, groups: GroupNames) -> str:
    """The storage account of a stack's backups: no other one in all of Azure has this name."""
    digest = hashlib.sha256(f"{subscription}/{groups.chat}".lower().encode()).hexdigest()
    return f"backup{digest[:16]}"


def service_name(subscription: str, groups: GroupNames) -> str:
    """The name of a stack's database, cache and storage account: no others in Azure have it."""
    digest = hashlib.sha256(f"{subscription}/{groups.chat}/cluster".lower().encode()).hexdigest()
    return f"chat{digest[:18]}"


def fault_of_stack_name(project: str, stack: str) -> str | None:
    """Why a stack cannot have this name; None if it can."""
    if not re.fullmatch(STACK_NAME, stack):
        return "it is not letters, digits, ., _ and - with no . or - first and no dot last"
    names = (*group_names(project, stack), state_group_name(project, stack))
    longest = max(map(len, names))
    if longest > LONGEST_GROUP_NAME:
        return (
            f"it is {longest - LONGEST_GROUP_NAME} characters too long: the name of a resource "
            f"group of Azure has at most {LONGEST_GROUP_NAME}"
        )
    return None


def stack_of_file(name: str) -> str | None:
    """The stack of a stack file, whether its name is allowed or not; None for any other file."""
    found = re.fullmatch(r"Pulumi\.([^/]+)\.yaml", name)
    return found[1] if found else None
