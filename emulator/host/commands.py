"""Running the host's own programs, and waiting for what they start."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from emulator.azure.fabric import FabricError

_PACKAGES = {
    "podman": "podman",
    "nft": "nftables",
    "ip": "iproute2",
    "slirp4netns": "slirp4netns",
    "losetup": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "chattr": "e2fsprogs",
    "conmon": "conmon",
}
"""Every program the emulator runs on the host that a Debian may lack -> the package that has it."""


def run(args: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a program to its end and give back what it printed. Raises FabricError."""
    try:
        done = subprocess.run(args, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise lacking(args[0]) from missing
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise FabricError(
            "InternalExecutionError",
            f"On this host, `{' '.join(args[:12])}` ended with {done.returncode}: {said}",
        )
    return done.stdout


def succeeds(args: Sequence[str]) -> bool:
    """Whether a program that only asks something says yes."""
    return subprocess.run(args, capture_output=True, check=False).returncode == 0


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, files marked immutable too. Raises FabricError."""
    remove = ["rm", "-rf", "--one-file-system", str(folder)]
    if succeeds(remove):
        return
    succeeds(["chattr", "-R", "-f", "-i", "-a", str(folder)])
    # What was killed a moment ago may not have written its last.
    if not wait_until(lambda: succeeds(remove), 10):
        run(remove)


def require_programs() -> None:
    """Raises FabricError naming the packages to install when the host lacks a program."""
    missing = [program for program in _PACKAGES if shutil.which(program) is None]
    if missing:
        raise lacking(*missing)


def lacking(*programs: str) -> FabricError:
    packages = sorted({_PACKAGES.get(program, program) for program in programs})
    return FabricError(
        "InternalExecutionError",
        f"The emulator needs {', '.join(programs)} on this host. "
        f"Install with: apt-get install {' '.join(packages)}",
    )


def wait_until(happened: Callable[[], bool], seconds: float, *, every: float = 0.1) -> bool:
    """Ask until it happened (True) or `seconds` have passed (False)."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
