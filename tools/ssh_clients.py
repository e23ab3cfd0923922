"""Lets the runner of a workflow reach the machine by SSH while it deploys, and nobody after it.

`open` adds this machine's own address to the stack's `sshClients`, in this checkout only, so that
the `pulumi up` that follows lets it in. `close` takes away what the commit does not have, and
applies the committed list to the network security group alone, whatever became of the `up` before:
with a full `up` what failed there would be tried again, without the address it needs.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
SETTING = "ollamazure:sshClients"
SECURITY_GROUP = "azure-native:network:NetworkSecurityGroup"
# Two that agree: one alone could open SSH for an address of its choice.
WHO_AM_I = ("https://checkip.amazonaws.com", "https://api.ipify.org")
PATIENCE_SECONDS = 20


class ClientsError(Exception):
    """The list of SSH clients could not be changed; the message says why."""


@dataclass(frozen=True)
class Stack:
    """A stack, worked on with Pulumi."""

    name: str

    def run(self, *arguments: str) -> str:
        """What Pulumi prints.

        Raises:
            ClientsError: it failed; what it said is above the message.
        """
        command = ["pulumi", *arguments, "--non-interactive", "--stack", self.name]
        done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            raise ClientsError(f"`{' '.join(command)}` failed")
        return done.stdout

    def clients(self) -> list[str]:
        """The addresses in the stack's settings, as they are in this checkout."""
        value: list[str] = json.loads(self.run("config", "get", SETTING))
        return value

    def committed(self) -> list[str]:
        """The addresses that the checked out commit has; raises ClientsError."""
        shown = subprocess.run(
            ["git", "show", f"HEAD:Pulumi.{self.name}.yaml"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if shown.returncode:
            raise ClientsError(f"what is committed cannot be read: {shown.stderr.strip()}")
        settings: dict[str, Any] = yaml.safe_load(shown.stdout)
        return list(settings["config"][SETTING])

    def state(self) -> dict[str, Any]:
        """What Pulumi remembers of the stack."""
        exported: dict[str, Any] = json.loads(self.run("stack", "export"))
        deployment: dict[str, Any] = exported["deployment"]
        return deployment


def security_group(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """The network security group in a stack's state, None while there is none."""
    for resource in state.get("resources") or ():
        if resource["type"] == SECURITY_GROUP and not resource.get("delete"):
            group: dict[str, Any] = resource
            return group
    return None


def admitted(group: Mapping[str, Any]) -> list[str]:
    """Who may reach port 22 as a security group has it."""
    return [
        prefix
        for rule in group["inputs"]["securityRules"]
        if rule["destinationPortRange"] == "22"
        for prefix in rule["sourceAddressPrefixes"]
    ]


def networks(addresses: Sequence[str]) -> set[ipaddress.IPv4Network]:
    """The same addresses in one form: 203.0.113.7 is 203.0.113.7/32."""
    return {ipaddress.IPv4Network(address) for address in addresses}


def own_address() -> str:
    """The public IPv4 address that this machine is seen with.

    Raises:
        ClientsError: it cannot be told.
    """
    answers: set[str] = set()
    for place in WHO_AM_I:
        try:
            with urllib.request.urlopen(place, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
                answers.add(answer.read(64).decode().strip())
        except (OSError, ValueError) as error:
            raise ClientsError(f"{place} does not say what address this is: {error}") from error
    address, *others = sorted(answers)
    if others or not _is_public(address):
        raise ClientsError(f"this machine's public address is not clear: {sorted(answers)}")
    return address


def _is_public(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_global
    except ValueError:
        return False


def open_ssh(stack: Stack, address: str) -> str:
    """Add `address` to the settings of this checkout; the next `pulumi up` lets it in."""
    client = ipaddress.IPv4Address(address)
    clients = stack.clients()
    if any(client in network for network in networks(clients)):
        return f"{SETTING} of {stack.name} has {address} already."
    stack.run("config", "set", "--path", f"{SETTING}[{len(clients)}]", f"{address}/32")
    return f"{SETTING} of {stack.name}: {address} added, in this checkout only."


def close_ssh(stack: Stack) -> str:
    """Have the settings, and the security group where there is one, as they are committed."""
    committed, clients = stack.committed(), stack.clients()
    for index in reversed(range(len(clients))):
        if clients[index] not in committed:
            stack.run("config", "rm", "--path", f"{SETTING}[{index}]")
    state = stack.state()
    group = security_group(state)
    if group is None:
        return f"{stack.name} has no network security group; nothing to close."
    # An `up` that was cut off may have opened what the state does not know of.
    if not state.get("pending_operations") and networks(admitted(group)) == networks(committed):
        return f"SSH of {stack.name} was not opened; nothing to close."
    stack.run("up", "--yes", "--skip-preview", "--refresh", "--target", group["urn"])
    return f"SSH of {stack.name} is open for what is committed only: {', '.join(committed)}."


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="SSH for a workflow's runner, while it deploys.")
    parser.add_argument("what", choices=["open", "close"])
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument("--address", help="instead of this machine's own public one")
    options = parser.parse_args(arguments)
    stack = Stack(options.stack)
    try:
        if options.what == "open":
            print(open_ssh(stack, options.address or own_address()))
        else:
            print(close_ssh(stack))
    except ClientsError as error:
        print(f"ssh_clients: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
