"""What the services on the machine of a stack have logged, as it comes.

Nothing that runs there logs a secret; the stack's own are masked all the same. Exit code: 0, also
after Ctrl-C; 2 when the machine is not reached.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import asyncssh

from ollamazure.operate.connection import Machine, TroubleError, outputs_of, parser

UNITS = ("ollama", "open-webui", "nginx")
MASK = "[secret]"


def journal(units: Sequence[str], since: str, *, follow: bool) -> str:
    """The command that reads the journal.

    Args:
        units: names of systemd units.
        since: what `journalctl` takes, or a span such as `1h`, which ends now.
        follow: goes on with what is logged from now on.
    """
    start = f"-{since}" if re.fullmatch(r"\d+ ?[a-zA-Z]+", since) else since
    return shlex.join(
        [
            *("sudo", "journalctl", "--no-pager", "--quiet", "--output=short-iso"),
            f"--since={start}",
            *(f"--unit={unit}" for unit in units),
            *(["--follow", "--no-tail"] if follow else []),
        ]
    )


def secrets_of(outputs: Mapping[str, Any]) -> list[str]:
    """Each secret among the outputs that fits on one line."""
    keys = str(outputs["sshPrivateKey"]).splitlines()
    found = {*keys[1:-1], *passwords_of(outputs)}
    return sorted(found, key=len, reverse=True)


def passwords_of(outputs: Mapping[str, Any]) -> Iterator[str]:
    yield from filter(None, [outputs.get("adminPassword")])
    yield from outputs.get("initialPasswords", {}).values()


def masked(line: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        line = line.replace(secret, MASK)
    return line


async def stream(machine: Machine, command: str, secrets: Sequence[str]) -> int:
    """Print what the command prints, line by line, until it or the reader ends.

    Raises:
        TroubleError: the machine is not reached, or is another one.
    """
    try:
        async with machine.connect() as connection:
            process = await connection.create_process(
                command, stdin=asyncssh.DEVNULL, stderr=asyncssh.STDOUT, errors="replace"
            )
            async for line in process.stdout:
                print(masked(line, secrets), end="", flush=True)
            return int((await process.wait()).exit_status or 0)
    except (OSError, asyncssh.Error) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise machine.not_reached(error) from error


def main(arguments: Sequence[str] | None = None) -> int:
    options_of = parser("What the services of the chat have logged.")
    options_of.add_argument("--unit", action="append", choices=UNITS, help="all three without it")
    options_of.add_argument("--since", default="1h", help="1h (which is the default), today, …")
    options_of.add_argument("--follow", action="store_true", help="until Ctrl-C")
    options = options_of.parse_args(arguments)
    command = journal(options.unit or UNITS, options.since, follow=options.follow)
    try:
        outputs = outputs_of(options.stack, options.pulumi)
        return asyncio.run(stream(Machine.of(outputs), command, secrets_of(outputs)))
    except TroubleError as trouble:
        print(f"logs: {trouble}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


if __name__ == "__main__":
    sys.exit(main())
