"""The way back from an upgrade of Open WebUI that worked, to the data before it."""

from __future__ import annotations

import asyncio
import subprocess

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import PROJECT, OperateError, read_outputs
from ollamazure.operate.question import is_agreed
from ollamazure.sizing.upgrade import RESTORED

# The lock of the command `open-webui`, so that `pulumi up` and this wait for each other.
UNDO = (
    "sudo install -d -m 0755 /run/ollamazure && sudo flock --close /run/ollamazure/open-webui.lock"
    " /usr/local/lib/ollamazure/webui-cli upgrade undo"
)


def undo(stack: str, pulumi: str, *, yes: bool) -> int:
    """Put back the data and the version before the last upgrade; returns 1 if the user declines.

    Raises:
        OperateError: the machine cannot be queried, or keeps no such data.
    """
    machine = MachineConnection.from_outputs(read_outputs(stack, pulumi))
    print(
        "The data of Open WebUI become those before its last upgrade: every chat, file and account"
        " since then is lost. Users cannot chat for about a minute."
    )
    if not yes and not is_agreed():
        return 1
    image = str(asyncio.run(machine.query(UNDO)))
    version = image.partition("@")[0].rpartition(":")[2]
    change = [pulumi, "config", "set", "ollamazure:webuiVersion", version, "--stack", stack]
    if subprocess.run(change, cwd=PROJECT, check=False).returncode:
        raise OperateError(
            f"Open WebUI {version} runs with its data, but the setting could not be changed. Run:"
            f" {' '.join(change)}"
        )
    print(
        f"Open WebUI {version} runs with its data, and webuiVersion in Pulumi.{stack}.yaml names"
        f" it. To complete this: {RESTORED}={version} {pulumi} up --stack {stack}"
    )
    return 0
