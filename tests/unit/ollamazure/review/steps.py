"""Previews of one step, in the engine's JSON."""

from __future__ import annotations

import json
from typing import Any

from ollamazure.preview import output
from ollamazure.review.changes import Review, review_preview

COMMAND = "command:remote:Command"
NSG = "azure-native:network:NetworkSecurityGroup"


def step(op: str, type_: str, name: str, **more: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:dev::ollamazure::ollamazure:index:PrivateChat${type_}::{name}"
    return {"op": op, "urn": urn, "detailedDiff": None, **more}


def update(type_: str, name: str, old: Any, new: Any, *changed: str) -> dict[str, Any]:
    """An update of inputs."""
    return step(
        "update",
        type_,
        name,
        oldState={"inputs": old},
        newState={"inputs": new},
        detailedDiff={path: {"kind": "update"} for path in changed},
    )


def command(name: str, old: str, new: str) -> dict[str, Any]:
    """An update of a command's script."""
    return update(COMMAND, name, {"stdin": old}, {"stdin": new}, "stdin")


def printed(*steps: dict[str, Any], diagnostics: Any = ()) -> str:
    return json.dumps({"steps": steps, "diagnostics": list(diagnostics)}, indent=4)


def reviewed(*steps: dict[str, Any], diff: str = "", diagnostics: Any = ()) -> Review:
    """The review of a preview with these steps and an unchanged stack."""
    stack = step("same", output.STACK_TYPE, "ollamazure-dev", oldState={}, newState={})
    steps = steps if any(stack["urn"] == one["urn"] for one in steps) else (stack, *steps)
    return review_preview(output.read(printed(*steps, diagnostics=diagnostics), diff))


def script(files: dict[str, str], body: str = "") -> str:
    """A script of the form that components/remote_command.py renders."""
    puts = "".join(
        f"put {path} 0644 <<'END_OF_FILE'\n{text}\nEND_OF_FILE\n\n" for path, text in files.items()
    )
    head = "# ollamazure: x, on the machine 1\nput() {\n    true\n}\n"
    return f"{head}{puts}{body}\n"
