"""Backups of a stack's chat: made now, listed, brought back. The machine does the work."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import asyncssh

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.logs import mask, print_output, secrets_of
from ollamazure.operate.pulumi import OperateError, read_outputs, run_pulumi
from ollamazure.operate.status import check_url


class Action(StrEnum):
    """What `ollamazure backup` does."""

    NOW = "now"
    LIST = "list"
    KEY = "key"


PROGRAM = "sudo /usr/local/lib/ollamazure/backup-cli"
# The components whose commands set up what is in Open WebUI's database.
IN_THE_DATABASE = ("ollamazure:index:OpenWebui$", "ollamazure:index:Workspace$")
SHOWN_LINES = 10


@dataclass(frozen=True)
class DeclaredCommand:
    """A command that the last `pulumi up` ran on the machine.

    Attributes:
        name: of its resource.
        command: for the login shell.
        script: its standard input, which may hold secrets.
    """

    name: str
    command: str
    script: str = field(repr=False)


def make(stack: str, pulumi: str, *, check: bool) -> int:
    """Make a backup now; returns 0 when it is complete.

    Args:
        stack: its name.
        pulumi: the command that has it.
        check: whether to check it, too, as each week.
    """
    outputs = read_outputs(stack, pulumi)
    return on_machine(outputs, f"{PROGRAM} {'check' if check else 'run'}")


def print_list(stack: str, pulumi: str) -> int:
    """Print the times of the backups, the newest first; returns 1 if there is none."""
    machine = MachineConnection.from_outputs(read_outputs(stack, pulumi))
    times = asyncio.run(machine.query(f"{PROGRAM} list"))
    for time in sorted(times, reverse=True):
        print(f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC")
    if not times:
        print(f"There is no backup yet: `bin/ollamazure backup --stack {stack}` makes one.")
    return 0 if times else 1


def print_key(stack: str, pulumi: str) -> int:
    """Print the key of the backups, to be kept elsewhere."""
    key = read_outputs(stack, pulumi).get("backupKey")
    if not key:
        raise OperateError(f"the stack {stack} has no backups: ollamazure:backup.target is off.")
    print(key)
    return 0


def restore(stack: str, pulumi: str, at: str | None, other_key: str) -> int:
    """Bring back a backup, then what the settings declare; returns 0 when the chat answers.

    Args:
        stack: its name.
        pulumi: the command that has it.
        at: the newest backup that is not after this time, in UTC. None: the newest.
        other_key: the key of the stack that made the backups, if it was another one.

    Raises:
        OperateError: it fails; the message names what has changed.
    """
    request = json.dumps({"at": at, "other_key": other_key})
    return bring_back(stack, pulumi, f"{PROGRAM} restore", request)


def undo_restore(stack: str, pulumi: str) -> int:
    """Bring back the data that the last restore replaced, as `restore` does."""
    return bring_back(stack, pulumi, f"{PROGRAM} undo", "")


def bring_back(stack: str, pulumi: str, command: str, request: str) -> int:
    outputs = read_outputs(stack, pulumi, "url", "certificateTrust")
    # Before anything changes: they are needed afterwards.
    declared = list(declared_commands(read_state(stack, pulumi)))
    code = on_machine(outputs, command, request)
    if code:
        return code
    print(
        "Setting up again what the settings declare: the administrator, settings, users, presets."
    )
    asyncio.run(run_again(stack, outputs, declared))
    problem = check_url(outputs["url"], outputs["certificateTrust"], None)
    print(f"The chat at {outputs['url']} {problem or 'answers'}.")
    return 1 if problem else 0


def on_machine(outputs: Mapping[str, Any], command: str, text: str | None = None) -> int:
    machine = MachineConnection.from_outputs(outputs)
    return asyncio.run(print_output(machine, command, secrets_of(outputs), text))


def read_state(stack: str, pulumi: str) -> Mapping[str, Any]:
    """The stack's state, secrets in plain text."""
    done = run_pulumi([pulumi, "stack", "export", "--show-secrets", "--stack", stack])
    if done.returncode:
        raise OperateError(f"the state of the stack {stack} cannot be read; the reason is above.")
    state: Mapping[str, Any] = json.loads(done.stdout)
    return state


def declared_commands(state: Mapping[str, Any]) -> Iterator[DeclaredCommand]:
    """The commands that set up what is in Open WebUI's database, in the order of the state.

    The engine writes a resource after those that it depends on. The restored database may be older
    than they are, or of another stack with other passwords, and Pulumi would not run them again.
    """
    for resource in state["deployment"].get("resources", []):
        of_database = any(component in resource["urn"] for component in IN_THE_DATABASE)
        if resource["type"] == "command:remote:Command" and of_database:
            inputs = resource["inputs"]
            yield DeclaredCommand(
                resource["urn"].rpartition("::")[2],
                plain(inputs["create"]),
                plain(inputs["stdin"]),
            )


def plain(value: Any) -> str:
    """A text of the state, which may be a secret."""
    return str(json.loads(value["plaintext"])) if isinstance(value, dict) else str(value)


async def run_again(
    stack: str, outputs: Mapping[str, Any], commands: Sequence[DeclaredCommand]
) -> None:
    """Run the commands on the machine, one after the other.

    Raises:
        OperateError: one of them fails; those after it did not run.
    """
    machine, secrets = MachineConnection.from_outputs(outputs), secrets_of(outputs)
    try:
        async with machine.open() as connection:
            for command in commands:
                done = await connection.run(
                    command.command, input=command.script, stderr=asyncssh.STDOUT
                )
                if done.exit_status:
                    last = str(done.stdout).splitlines()[-SHOWN_LINES:]
                    print("\n".join(mask(line, secrets) for line in last), file=sys.stderr)
                    raise OperateError(
                        f"the data is restored, but the command {command.name} failed: its last "
                        "lines are above. Fix what they name, then run "
                        f"`bin/ollamazure restore --stack {stack}` again."
                    )
    except (OSError, asyncssh.Error) as error:
        raise machine.connection_error(error) from error
