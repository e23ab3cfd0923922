"""Plan mode: commands are written down instead of run.

Each create, update and delete becomes one line of `recorder.jsonl` in the instance's folder,
with every secret replaced; tests of the program read it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from emulator.plugins.provider import Properties, Secret, Unknown, plain

MASK = "[secret]"
_INPUTS = ("environment", "stdin", "triggers", "dir", "interpreter", "logging")


def in_plan_mode() -> bool:
    return os.environ.get("OLLAMAZURE_PLAN") == "1"


def record(
    operation: str, token: str, name: str, command: str | Secret | None, inputs: Properties
) -> None:
    """Append what would have been done; raises OSError where the folder cannot be written."""
    connection: Properties = plain(inputs.get("connection")) or {}
    line: Properties = {
        "operation": operation,
        "type": token,
        "name": name,
        "command": masked(command),
        "host": connection.get("host"),
        "user": connection.get("user"),
    }
    line |= {key: masked(inputs[key]) for key in _INPUTS if key in inputs}
    file = Path(os.environ["OLLAMAZURE_EMULATOR"]) / "recorder.jsonl"
    # One write of a file opened to append does not mix with another's.
    with file.open("a") as recorded:
        recorded.write(json.dumps(line) + "\n")


def masked(value: Any) -> Any:
    """The value with everything secret replaced."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Unknown):
        return None
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value
