"""Previews of one step, in the engine's JSON."""

from __future__ import annotations

import json
from typing import Any

from components import remote_command
from ollamazure import manifest
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


def secret_command(name: str, old: str, new: str) -> dict[str, Any]:
    """The same for a script with secrets, of which the engine shows only the manifest."""
    before, after = (
        {"stdin": output.SECRET, "environment": {manifest.VARIABLE: manifest.split(script)[0]}}
        for script in (old, new)
    )
    return update(COMMAND, name, before, after, "stdin", f"environment.{manifest.VARIABLE}")


def new_command(name: str) -> dict[str, Any]:
    """A command that is created."""
    return step("create", COMMAND, name, newState={"inputs": {"stdin": script({})}})


def printed(*steps: dict[str, Any], diagnostics: Any = ()) -> str:
    return json.dumps({"steps": steps, "diagnostics": list(diagnostics)}, indent=4)


def reviewed(*steps: dict[str, Any], diff: str = "", diagnostics: Any = ()) -> Review:
    """The review of a preview with these steps and an unchanged stack."""
    stack = step("same", output.STACK_TYPE, "ollamazure-dev", oldState={}, newState={})
    steps = steps if any(stack["urn"] == one["urn"] for one in steps) else (stack, *steps)
    return review_preview(output.read(printed(*steps, diagnostics=diagnostics), diff))


def script(files: dict[str, str], body: str = "", **more: Any) -> str:
    """A script as components/remote_command.py renders it."""
    contents = [
        (remote_command.File(path, content=b""), f"{text}\n".encode())
        for path, text in files.items()
    ]
    return remote_command.render_script("x", body, contents, purpose="do x", machine="1", **more)
