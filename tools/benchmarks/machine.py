"""A machine to measure: the stack `local`, deployed by the program, and programs that run on it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emulator.artifacts import paths
from tests.e2e.conftest import remove
from tests.e2e.deployment import Deployment, wait_until

ON_THE_MACHINE = Path(__file__).parent / "on_the_machine"


@contextmanager
def deployed(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    own: bool = False,
    **environment: str,
) -> Iterator[Deployment]:
    """The stack `local` in an emulated Azure of its own below `folder`, which is removed.

    Unless it has to be its `own`, OLLAMAZURE_E2E_HOME is one that is deployed already. It gets no
    settings, and what a benchmark changes on it stays.
    """
    if not own and (kept := os.environ.get("OLLAMAZURE_E2E_HOME")):
        yield Deployment(Path(kept).resolve())
        return
    azure = Deployment(folder / "emulator", environment=environment)
    try:
        azure.up(**settings or {})
        yield azure
    finally:
        azure.shell.close()
        remove_azure(azure.home)


def remove_azure(home: Path) -> None:
    """Remove an emulated Azure, and first end a CLI that still works on it.

    If the time of a benchmark is over, only `pulumi-local` has ended, and not what it started.
    """
    for number in commands_on(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    remove(home)


def commands_on(home: Path) -> list[int]:
    """The processes of Pulumi's CLI that work on an emulated Azure."""
    mark = f"OLLAMAZURE_EMULATOR={home.resolve()}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "cmdline").read_bytes().partition(b"\0")[0]
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            continue
        if program == str(paths.pulumi()).encode() and mark in environment:
            found.append(int(process.name))
    return found


def run_program(azure: Deployment, name: str, task: Any) -> Any:
    """Run a program of on_the_machine/ there as root; it reads and prints JSON.

    Raises:
        AssertionError: it failed.
    """
    program = (ON_THE_MACHINE / f"{name}.py").read_text("utf-8")
    azure.ssh(f"sudo tee /run/{name}.py >/dev/null", stdin=program)
    printed = azure.ssh(f"sudo python3 /run/{name}.py", stdin=json.dumps(task)).output
    return json.loads(printed.splitlines()[-1])


def add_people(azure: Deployment, count: int) -> list[str]:
    """Add users through Open WebUI's API; returns a token for each, without any sign-in."""
    tokens = []
    with azure.client(azure.token) as admin:
        for number in range(count):
            # Of its own, because a benchmark may use a machine that exists for longer.
            email = f"measured-{number}-{secrets.token_hex(4)}@example.org"
            form = {
                "email": email,
                "name": f"Person {number}",
                "password": f"{secrets.token_urlsafe(18)}aA1!",
                "role": "user",
            }
            answer = admin.post("/api/v1/auths/add", json=form)
            answer.raise_for_status()
            tokens.append(str(answer.json()["token"]))
    return tokens


def wait_until_idle(azure: Deployment) -> None:
    """Wait until the model computes nothing. Raises AssertionError after a minute."""
    computed = [-1.0]

    def idle() -> bool:
        computed.append(run_program(azure, "parts", None).get("model", {}).get("seconds", 0.0))
        return computed[-1] - computed[-2] < 0.05

    wait_until(idle, "a model that computes nothing", patience=60)
