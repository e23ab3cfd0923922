"""Lets the machine accept the operators' new SSH key, and no longer the former one.

    python -m ollamazure.operate.ssh_key record       prints the private key, and does nothing
    python -m ollamazure.operate.ssh_key authorize    makes the machine accept it, and prints it
    python -m ollamazure.operate.ssh_key retire       makes the machine refuse it

Standard input: the fields of MachineConnection, as JSON. components/ssh_access.py runs this: Pulumi
gives `authorize` what the run before printed, the former private key, in PULUMI_COMMAND_STDOUT.
Each run can be repeated at any moment.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shlex
import sys
import time
from pathlib import Path

import asyncssh

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError

FORMER_KEY = "PULUMI_COMMAND_STDOUT"
# The user's own tool on the machine; it is sent, because a machine may not have it yet.
TOOL = Path(__file__).parents[2] / "guest/usr/local/lib/ollamazure/authorized-keys"
# A machine that was replaced in the same `pulumi up` may still be starting.
WITHIN_SECONDS, PAUSE_SECONDS = 600, 5


def main(arguments: list[str]) -> int:
    machine = MachineConnection(**json.load(sys.stdin))
    try:
        match arguments:
            case ["record"]:
                print(machine.private_key)
            case ["authorize"]:
                asyncio.run(authorize(machine, os.environ.get(FORMER_KEY, "")))
                print(machine.private_key)
            case ["retire"]:
                asyncio.run(retire(machine))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except OperateError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def authorize(
    machine: MachineConnection, former_key: str, within: float = WITHIN_SECONDS
) -> None:
    """Make the machine accept its key, with the help of the former one; sign in to prove it.

    Raises:
        OperateError: the machine does not answer, or refuses both keys.
    """
    if former_key.strip() in ("", machine.private_key.strip()):
        return
    former = dataclasses.replace(machine, private_key=former_key)
    begun = time.monotonic()
    while True:
        try:
            if not await is_accepted(machine):
                await change_keys(former, "add", machine.private_key)
            if await is_accepted(machine):
                return
            raise OperateError(
                f"The machine at {machine.address} has the new SSH key and refuses it. The former "
                "key still works. See docs/how-to/ssh-is-lost.md."
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise machine.connection_error(error) from error
        except (OSError, asyncssh.Error) as error:
            if time.monotonic() - begun > within:
                raise _refused(machine, error) from error
            await asyncio.sleep(PAUSE_SECONDS)


async def retire(machine: MachineConnection) -> None:
    """Make the machine refuse the key that signs in; nothing if it already does.

    Raises:
        OperateError: the machine does not answer, or this is its only key.
    """
    try:
        await change_keys(machine, "remove", machine.private_key)
    except asyncssh.PermissionDenied:
        return
    except (OSError, asyncssh.Error) as error:
        raise OperateError(
            f"{machine.connection_error(error)} The former SSH key may still be authorized there: "
            "`pulumi up` tries again. If no machine of yours has this address any more, `pulumi "
            "state delete` with the URN above makes Pulumi forget this key."
        ) from error


async def is_accepted(machine: MachineConnection) -> bool:
    """Whether the machine lets the key sign in and run a command."""
    try:
        async with machine.open() as connection:
            await connection.run("true", check=True)
    except asyncssh.PermissionDenied:
        return False
    return True


async def change_keys(machine: MachineConnection, how: str, private_key: str) -> None:
    """Add the public half of a private key to the user's authorized keys, or remove it."""
    public = asyncssh.import_private_key(private_key).export_public_key().decode()
    words = shlex.join(["sh", "-s", "--", how, " ".join(public.split()[:2])])
    async with machine.open() as connection:
        done = await connection.run(words, input=TOOL.read_text())
    if done.exit_status:
        raise OperateError(
            f"The SSH keys on the machine at {machine.address} cannot be changed: "
            f"{str(done.stderr).strip()}"
        )


def _refused(machine: MachineConnection, error: Exception) -> OperateError:
    if not isinstance(error, asyncssh.PermissionDenied):
        return machine.connection_error(error)
    return OperateError(
        f"The machine at {machine.address} accepts neither the new SSH key nor the former one, so "
        "its authorized keys were changed by hand. See docs/how-to/ssh-is-lost.md."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
