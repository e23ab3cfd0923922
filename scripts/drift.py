"""Is the machine of a stack still what the program has declared? Looks by SSH, changes nothing.

Address and keys come from the stack's outputs, straight from Pulumi into memory. Exit code: 0 when
nothing differs, 1 when something does, 2 when it cannot be told.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncssh

LOOK = "sudo /usr/local/lib/ollamazure/drift.py"
OUTPUTS = ("sshCommand", "sshPrivateKey", "hostKey", "adminEmail", "adminPassword")
PATIENCE_SECONDS = 60


class TroubleError(Exception):
    """Whether there is drift cannot be told; the message says why and what to do."""


def outputs_of(stack: str, pulumi: str) -> Mapping[str, Any]:
    """The stack's outputs, secrets in plain.

    Raises:
        TroubleError: Pulumi has none, or not those that lead to the machine.
    """
    command = [pulumi, "stack", "output", "--json", "--show-secrets", "--stack", stack]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError as error:
        raise TroubleError(f"{pulumi} is not installed.") from error
    if done.returncode:
        raise TroubleError(f"the outputs of the stack {stack} cannot be read; see above.")
    outputs: Mapping[str, Any] = json.loads(done.stdout)
    missing = [name for name in OUTPUTS if name not in outputs]
    if missing:
        raise TroubleError(
            f"the stack {stack} has no output {', '.join(missing)}. "
            f"`{pulumi} up --stack {stack}` makes it, with everything else."
        )
    return outputs


async def look(outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """What the machine itself finds: each item names a resource, and what differs.

    Raises:
        TroubleError: the machine is not reached, is another one, or does not answer.
    """
    admin = {"email": outputs["adminEmail"], "password": outputs["adminPassword"]}
    user, _, address = str(outputs["sshCommand"]).split()[-1].partition("@")
    try:
        async with asyncssh.connect(
            address,
            username=user,
            client_keys=[asyncssh.import_private_key(outputs["sshPrivateKey"])],
            known_hosts=([asyncssh.import_public_key(outputs["hostKey"])], [], []),
            agent_path=None,
            config=None,
            connect_timeout=PATIENCE_SECONDS,
        ) as connection:
            done = await connection.run(LOOK, input=json.dumps(admin))
    except (OSError, asyncssh.Error) as error:
        raise TroubleError(
            f"the machine at {address} is not reached by SSH: {error}. Is it running, and is your "
            "address one of ollamazure:sshClients?"
        ) from error
    if done.exit_status:
        raise TroubleError(
            f"the machine at {address} does not say what differs: {str(done.stderr).strip()}. "
            "`pulumi up` brings its tools up to date."
        )
    found: list[dict[str, str]] = json.loads(str(done.stdout))
    return found


def report(stack: str, found: Sequence[Mapping[str, str]], pulumi: str, again: str) -> str:
    """What a person reads: the differences by resource, and the command that ends them.

    Args:
        stack: whose machine it is.
        found: as `look` returns it.
        pulumi: the command that works on the stack.
        again: a value that the setting `reapply` has not had before.
    """
    if not found:
        return f"No drift: the machine of the stack {stack} is as declared."
    lines = [f"Drift on the machine of the stack {stack}:"]
    in_order = sorted(found, key=lambda item: (item["resource"], item["what"]))
    for resource, items in itertools.groupby(in_order, key=lambda item: item["resource"]):
        lines += ["", resource, *(f"  {item['what']}" for item in items)]
    return "\n".join(
        [
            *lines,
            "",
            "To have it as declared again, which runs every command on the machine once more:",
            "",
            f"  {pulumi} config set ollamazure:reapply {again} --stack {stack} && "
            f"{pulumi} up --stack {stack}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What differs from what was declared? Only reads.")
    parser.add_argument("--stack", required=True, help="for example dev")
    parser.add_argument("--pulumi", default="pulumi", help="or bin/pulumi-local")
    options = parser.parse_args(arguments)
    try:
        found = asyncio.run(look(outputs_of(options.stack, options.pulumi)))
    except TroubleError as trouble:
        print(f"drift: {trouble}", file=sys.stderr)
        return 2
    print(report(options.stack, found, options.pulumi, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
