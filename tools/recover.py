"""Makes a stack ready for its next deployment after one was killed.

That run may have left its lock, notes about unfinished operations in the state, and SSH open for
its runner. recover.yml runs this by hand, in the concurrency group of the stack's deployments, so
that no deployment by a workflow runs meanwhile. A lock that another user took is left alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tools.ssh_clients import CheckedOutStack, ClientsError, Lock, close_ssh

AZURE = "azure-native:"


def recover(stack: CheckedOutStack) -> str:
    """Remove the lock, drop the unfinished operations and close SSH; returns what was done.

    Raises:
        ClientsError: a user holds the lock, or Pulumi fails; everything else is as before.
    """
    unfinished = [
        operation["resource"]
        for operation in stack.state().get("pending_operations") or ()
        if operation["type"] == "creating"
    ]
    refresh = ["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]
    print(stack.run_without_old_locks(*refresh, is_old=_was_a_runners))
    return "\n".join(
        [*_advice(unfinished), close_ssh(stack), f"{stack.name} can be deployed again."]
    )


def _was_a_runners(lock: Lock) -> bool:
    return lock.is_this_users and not lock.is_held


def _advice(unfinished: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to do about the resources of Azure whose creation was not finished.

    Azure may have gone on and created them. azure-native does not take over what exists.
    """
    places = [_place(one["inputs"]) for one in unfinished if one["type"].startswith(AZURE)]
    if not places:
        return []
    return [
        "The run was killed while it created these resources, so nothing has used them yet.",
        "Delete what Azure has of them; the next deployment cannot create what exists:",
        *(f"  az resource list --resource-group {group} --name {name}" for group, name in places),
        "  az resource delete --ids <id>",
    ]


def _place(inputs: Mapping[str, Any]) -> tuple[str, str]:
    """The resource group and the name of an Azure resource; a group is in itself."""
    group = str(inputs["resourceGroupName"])
    names = [inputs[one] for one in inputs if one.endswith("Name") and one != "resourceGroupName"]
    return group, str(names[0]) if names else group


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Recovers a stack after a killed deployment.")
    parser.add_argument("--stack", required=True, help="for example dev")
    try:
        print(recover(CheckedOutStack(parser.parse_args(arguments).stack)))
    except ClientsError as error:
        print(f"recover: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
