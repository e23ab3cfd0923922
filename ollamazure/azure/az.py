"""The Azure CLI, called for JSON. What `az` accepts and prints was tried with Azure CLI 2.91."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import Any

# The list of sizes is some megabytes; everything else answers within seconds.
TIMEOUT_SECONDS = 300
QUIET = {"AZURE_CORE_ONLY_SHOW_ERRORS": "true", "AZURE_CORE_NO_COLOR": "true"}


class AzError(Exception):
    """`az` failed; the message is the first line of its error."""


@dataclass(frozen=True)
class AzureCli:
    """The Azure CLI, or a program that answers like it, for one subscription."""

    subscription: str
    program: str = "az"

    def run(self, *arguments: str) -> Any:
        """What `az` prints for these arguments; raises as `run_az` does."""
        return run_az(*arguments, "--subscription", self.subscription, program=self.program)


def run_az(*arguments: str, program: str = "az") -> Any:
    """What `az` prints, for the few commands that take no subscription; None when that is nothing.

    Raises:
        AzError: `az` is not installed, failed, or did not print JSON.
    """
    command = [program, *arguments, "--output", "json"]
    shown = " ".join(["az", *command[1:4]])
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            env={**os.environ, **QUIET},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        raise AzError("the az command is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise AzError(f"`{shown} …` gave no answer within {TIMEOUT_SECONDS} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise AzError(lines[0].removeprefix("ERROR: ") if lines else f"`{shown} …` failed silently")
    try:
        return json.loads(done.stdout) if done.stdout.strip() else None
    except json.JSONDecodeError as error:
        raise AzError(f"`{shown} …` did not print JSON") from error
