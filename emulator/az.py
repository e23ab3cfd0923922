"""az-local: the commands of the Azure CLI for a machine's power, answered by the emulated Azure.

    bin/az-local vm start --resource-group ollamazure-local --name vm

Options and output are those of Azure CLI 2.91. Any other command is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from emulator.azure.errors import AzureError
from emulator.azure.names import MACHINE, SUBSCRIPTION, ResourceId
from emulator.azure.service import Azure
from emulator.cli import open_instance


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 1 if Azure refuses it, 3 if there is no machine."""
    options = _parser().parse_args(arguments)
    if options.group == "account":
        print(json.dumps({"id": SUBSCRIPTION, "state": "Enabled"}))
        return 0
    azure = Azure(open_instance())
    found = _find(azure, options.resource_group, options.name)
    if found is None:
        print(
            f"ERROR: (ResourceNotFound) The Resource '{MACHINE}/{options.name}' under resource"
            f" group '{options.resource_group}' was not found.",
            file=sys.stderr,
        )
        return 3
    try:
        if options.command == "get-instance-view":
            body = azure.get(found, expand="instanceView")
            print(json.dumps({**body, "instanceView": body["properties"]["instanceView"]}))
            return 0
        operation = azure.action(found, options.command)
        if not options.no_wait:
            azure.wait(operation)
    except AzureError as error:
        print(f"ERROR: ({error.code}) {error.message}", file=sys.stderr)
        return 1
    return 0


def _find(azure: Azure, group: str, name: str) -> str | None:
    """The ARM id of a machine; the subscription may be any."""
    for body in azure.list(MACHINE):
        id_ = ResourceId.parse(body["id"])
        if (id_.group.lower(), id_.name.lower()) == (group.lower(), name.lower()):
            return str(id_)
    return None


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--subscription")
    common.add_argument("--output", choices=["json"], default="json")
    parser = argparse.ArgumentParser(prog="az-local")
    groups = parser.add_subparsers(dest="group", required=True)
    account = groups.add_parser("account").add_subparsers(dest="command", required=True)
    account.add_parser("show", parents=[common])
    machine = groups.add_parser("vm").add_subparsers(dest="command", required=True)
    for name in ("start", "deallocate", "get-instance-view"):
        command = machine.add_parser(name, parents=[common])
        command.add_argument("--resource-group", "-g", required=True)
        command.add_argument("--name", "-n", required=True)
        if name != "get-instance-view":
            command.add_argument("--no-wait", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
