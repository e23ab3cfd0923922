"""Prints a session of the machine's tools, as JSON, for the questions of the answer check.

Standard input: the fields of MachineConnection, as JSON. The session lasts for ten minutes; it is
for guest/usr/local/lib/ollamazure/chat_answers.py, which reads it through a pipe and never prints
it.
"""

from __future__ import annotations

import asyncio
import json
import sys

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pulumi import OperateError

MAKE_SESSION = "sudo /usr/local/lib/ollamazure/webui-cli session"


def main() -> int:
    machine = MachineConnection(**json.load(sys.stdin))
    try:
        print(json.dumps(asyncio.run(machine.query(MAKE_SESSION))))
    except OperateError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
