"""Opens SSH for the runner of a workflow while it deploys, and closes it afterwards.

`open` adds this machine's own address to the stack's `sshClients`, in this checkout only, for the
`pulumi up` that follows. `close` removes every address that is not committed, and applies the
committed list to the network security group alone, even if the `up` failed: a full `up` would
repeat what failed, without the address that it needs.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import pwd
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
SETTING = "ollamazure:sshClients"
SECURITY_GROUP = "azure-native:network:NetworkSecurityGroup"
# Two services that must agree: one alone could open SSH for an address of its choice.
ADDRESS_SERVICES = ("https://checkip.amazonaws.com", "https://api.ipify.org")
TIMEOUT_SECONDS = 20


class ClientsError(Exception):
    """The list of SSH clients cannot be changed; the message gives the reason."""


@dataclass(frozen=True)
class Lock:
    """A lock of Pulumi's state: the user, the machine and the process that took it."""

    user: str
    host: str
    process: int
    since: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.process}) since {self.since}"

    @property
    def is_this_users(self) -> bool:
        """Whether this user took it: on GitHub, every runner of one kind has the same user."""
        return self.user == pwd.getpwuid(os.getuid()).pw_name

    @property
    def is_this_hosts(self) -> bool:
        return self.host == os.uname().nodename

    @property
    def is_held(self) -> bool:
        """Whether a Pulumi of this machine holds it; about other machines, nothing is known."""
        try:
            program = Path(f"/proc/{self.process}/comm").read_text().strip()
        except OSError:
            return False
        return self.is_this_hosts and program == "pulumi"


class LockedError(ClientsError):
    """The state is locked, and nothing was done."""

    def __init__(self, stack: str, locks: Sequence[Lock]) -> None:
        self.locks = locks
        super().__init__(
            f"the state of {stack} is locked by {', '.join(map(str, locks))}. Wait until that run "
            "has ended. If it was killed, the workflow `Recover a stack` removes the lock of a "
            f"runner, and `pulumi cancel --stack {stack}` that of a person"
        )


def locks_in(message: str) -> list[Lock]:
    """The locks that Pulumi's error names (pkg/backend/diy/lock.go of 3.259.0)."""
    found = re.findall(r": created by (.+)@(\S+) \(pid (\d+)\) at (\S+)", message)
    return [Lock(user, host, int(process), since) for user, host, process, since in found]


@dataclass(frozen=True)
class CheckedOutStack:
    """A stack of this checkout, and its state."""

    name: str

    def run(self, *arguments: str) -> str:
        """What Pulumi prints.

        Raises:
            LockedError: the state is locked.
            ClientsError: it failed; its own message is printed first.
        """
        command = ["pulumi", *arguments, "--non-interactive", "--stack", self.name]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        print(done.stderr, end="", file=sys.stderr)
        if done.returncode:
            if locks := locks_in(done.stderr):
                raise LockedError(self.name, locks)
            print(done.stdout, file=sys.stderr)
            raise ClientsError(f"`{' '.join(command)}` failed")
        return done.stdout

    def run_without_old_locks(self, *arguments: str, is_old: Callable[[Lock], bool]) -> str:
        """What Pulumi prints, after the locks of killed runs are removed.

        Raises:
            LockedError: a lock is not old; none was removed.
            ClientsError: Pulumi failed.
        """
        try:
            return self.run(*arguments)
        except LockedError as error:
            if not all(map(is_old, error.locks)):
                raise
            print(f"Removing the lock of a run that was killed: {', '.join(map(str, error.locks))}")
            self.run("cancel", "--yes")
        return self.run(*arguments)

    def clients(self) -> list[str]:
        """The addresses in the settings of this checkout."""
        value: list[str] = json.loads(self.run("config", "get", SETTING))
        return value

    def committed(self) -> list[str]:
        """The addresses that are committed; raises ClientsError."""
        shown = subprocess.run(
            ["git", "show", f"HEAD:Pulumi.{self.name}.yaml"],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if shown.returncode:
            raise ClientsError(f"the committed file cannot be read: {shown.stderr.strip()}")
        settings: dict[str, Any] = yaml.safe_load(shown.stdout)
        addresses = settings["config"].get(SETTING)
        if not addresses:
            raise ClientsError(
                f"Pulumi.{self.name}.yaml has no {SETTING}, and a deployed stack needs an "
                "operator's address. Commit the result of: pulumi config set --path "
                f"'{SETTING}[0]' <address> --stack {self.name}"
            )
        return list(addresses)

    def state(self) -> dict[str, Any]:
        """Pulumi's state of the stack."""
        exported: dict[str, Any] = json.loads(self.run("stack", "export"))
        deployment: dict[str, Any] = exported["deployment"]
        return deployment


def security_group(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """The network security group in a stack's state; None if it has none."""
    for resource in state.get("resources") or ():
        if resource["type"] == SECURITY_GROUP and not resource.get("delete"):
            group: dict[str, Any] = resource
            return group
    return None


def addresses_of(group: Mapping[str, Any]) -> list[str]:
    """The addresses that may reach port 22, in a security group."""
    return [
        prefix
        for rule in group["inputs"]["securityRules"]
        if rule["destinationPortRange"] == "22"
        for prefix in rule["sourceAddressPrefixes"]
    ]


def networks(addresses: Sequence[str]) -> set[ipaddress.IPv4Network]:
    """The addresses in one form: 203.0.113.7 is 203.0.113.7/32."""
    return {ipaddress.IPv4Network(address) for address in addresses}


def own_address() -> str:
    """This machine's public IPv4 address, as the internet sees it.

    Raises:
        ClientsError: a service fails, or the services disagree.
    """
    answers: set[str] = set()
    for service in ADDRESS_SERVICES:
        try:
            with urllib.request.urlopen(service, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                answers.add(answer.read(64).decode().strip())
        except (OSError, ValueError) as error:
            raise ClientsError(f"{service} gives no address: {error}") from error
    address, *others = sorted(answers)
    if others or not _is_public(address):
        raise ClientsError(f"this machine's public address is uncertain: {sorted(answers)}")
    return address


def _is_public(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_global
    except ValueError:
        return False


def open_ssh(stack: CheckedOutStack, address: str) -> str:
    """Add an address to the settings of this checkout, for the next `pulumi up`."""
    client = ipaddress.IPv4Address(address)
    stack.committed()  # an error here is clearer than one of the deployment
    clients = stack.clients()
    if any(client in network for network in networks(clients)):
        return f"{SETTING} of {stack.name} has {address} already."
    stack.run("config", "set", "--path", f"{SETTING}[{len(clients)}]", f"{address}/32")
    return f"{SETTING} of {stack.name}: {address} added, in this checkout only."


def close_ssh(stack: CheckedOutStack) -> str:
    """Restore the committed addresses in the settings and in the security group."""
    committed, clients = stack.committed(), stack.clients()
    for index in reversed(range(len(clients))):
        if clients[index] not in committed:
            stack.run("config", "rm", "--path", f"{SETTING}[{index}]")
    state = stack.state()
    group = security_group(state)
    if group is None:
        return f"{stack.name} has no network security group; nothing to close."
    # An interrupted `up` may have opened SSH without writing it into the state.
    if not state.get("pending_operations") and networks(addresses_of(group)) == networks(committed):
        return f"SSH of {stack.name} was not opened; nothing to close."
    up = ["up", "--yes", "--skip-preview", "--refresh", "--target", group["urn"]]
    stack.run_without_old_locks(*up, is_old=_was_killed_here)
    return f"SSH of {stack.name} is open to the committed addresses only: {', '.join(committed)}."


def _was_killed_here(lock: Lock) -> bool:
    """Whether this machine's own `up` left it, which GitHub killed: cancelled, or out of time."""
    return lock.is_this_hosts and lock.is_this_users and not lock.is_held


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Opens SSH for a workflow's runner while it deploys."
    )
    parser.add_argument("what", choices=["open", "close"])
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument("--address", help="default: this machine's own public one")
    options = parser.parse_args(arguments)
    stack = CheckedOutStack(options.stack)
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
