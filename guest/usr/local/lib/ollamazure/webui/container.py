"""Open WebUI's container: its address, and programs that run in it.

In a cluster, the pod with the tools has the same image and the same environment, so programs run in
that pod itself.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from webui.errors import NoAnswerError, WebuiError

CONTAINER = "open-webui"
# The container's own Python runs them: it has the libraries of Open WebUI.
PROGRAMS = Path(__file__).parent / "in_container"
FAILED = 1  # what these programs exit with; Podman has other codes, also if the container ends
RESTARTED_WITHIN = 120  # seconds
AGAIN_PAUSE = 1
# The name of Open WebUI's service in a cluster; empty on a machine.
IN_CLUSTER = os.environ.get("OLLAMAZURE_OPEN_WEBUI", "")


def container_address() -> str:
    """The container's IPv4 address, which only root of this machine can reach."""
    if IN_CLUSTER:
        return IN_CLUSTER
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    done = subprocess.run(
        ["podman", "inspect", "--format", template, CONTAINER],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        raise NoAnswerError(
            f"its container does not run; see `systemctl status {CONTAINER}`.", sent=False
        )
    return done.stdout.strip()


def run_in_container(program: str, text: str = "") -> str:
    """The output of a program of `in_container/`, with `text` on its standard input.

    Another command may restart the container at any moment. All programs are safe to repeat, so
    this one runs again in the next container.
    """
    code = (PROGRAMS / f"{program}.py").read_text()
    enter = [] if IN_CLUSTER else ["podman", "exec", "--interactive", CONTAINER]
    begun = time.monotonic()
    while True:
        done = subprocess.run(
            [*enter, "python3", "-c", code],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.returncode:
            return done.stdout
        if done.returncode == FAILED or time.monotonic() - begun > RESTARTED_WITHIN:
            reason = done.stderr.strip().splitlines() or ["no reason given"]
            raise WebuiError(f"its database or key cannot be used: {reason[-1]}")
        time.sleep(AGAIN_PAUSE)
