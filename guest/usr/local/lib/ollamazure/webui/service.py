"""Open WebUI's unit, its volume, and the page that users see while it does not answer."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from webui import client
from webui.errors import WebuiError

UNIT = "open-webui.service"
PUBLIC = Path("/run/ollamazure/public")
STATUS = PUBLIC / "status.txt"
# While this exists, Nginx passes no request on: a chat of now would be lost on the way back.
CLOSED = PUBLIC / "upgrading"


def close_chat(text: str) -> None:
    """Lets Nginx show the page of a chat that is being prepared, with this text."""
    show_status(text)
    CLOSED.touch()


def open_chat() -> None:
    CLOSED.unlink(missing_ok=True)
    STATUS.unlink(missing_ok=True)


def show_status(text: str) -> None:
    PUBLIC.mkdir(mode=0o755, parents=True, exist_ok=True)
    STATUS.write_text(f"{text}\n")


def stop() -> None:
    """Stops Open WebUI. One that does not run stays so: at boot, its start waits for `recover`."""
    state = output_of(["systemctl", "show", "--property=ActiveState", "--value", UNIT]).strip()
    if state not in ("inactive", "failed", ""):
        run(["systemctl", "stop", UNIT])


def find_volume() -> Path | None:
    """The folder of Open WebUI's data; None before its first start."""
    name = output_of(
        ["podman", "volume", "inspect", "--format", "{{.Mountpoint}}", "open-webui"]
    ).strip()
    return Path(name) if name and Path(name).is_dir() else None


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise WebuiError(f"`{' '.join(command[:3])}` failed: {reason[-1]}")


def output_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def say(text: str) -> None:
    """Prints progress. The connection to the program that started the upgrade may be gone."""
    with contextlib.suppress(OSError):
        client.say(text)
