"""Prints what a program of the machine or of a pod prints as JSON, for the answer check.

    python -m ollamazure.operate.query COMMAND    with the fields of MachineConnection or of
                                                  PodConnection, as JSON, on standard input

It is for guest/usr/local/lib/ollamazure/chat_answers.py, which reads it through a pipe: the answer
can be a session.
"""

from __future__ import annotations

import asyncio
import json
import sys

from ollamazure.operate.connection import MachineConnection
from ollamazure.operate.pod import PodConnection
from ollamazure.operate.pulumi import OperateError


def main() -> int:
    [command] = sys.argv[1:]
    given = json.load(sys.stdin)
    try:
        if "pod" in given:
            print(json.dumps(PodConnection(**given).query(command)))
        else:
            print(json.dumps(asyncio.run(MachineConnection(**given).query(command))))
    except OperateError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
