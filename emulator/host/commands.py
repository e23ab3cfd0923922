"""Run programs of the host, and wait for what they start."""

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
    "tc": "iproute2",
    "slirp4netns": "slirp4netns",
    "losetup": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "chattr": "e2fsprogs",
    "conmon": "conmon",
}
"""Programs that the emulator runs and that a Debian may lack -> the package that has them."""


def run(args: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a program to its end and return its output. Raises FabricError."""
    try:
        done = subprocess.run(args, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise missing_programs(args[0]) from missing
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise FabricError(
            "InternalExecutionError",
            f"On this host, `{' '.join(args[:12])}` ended with {done.returncode}: {output}",
        )
    return done.stdout


def succeeds(args: Sequence[str]) -> bool:
    """Whether a program ends with exit code 0."""
    return subprocess.run(args, capture_output=True, check=False).returncode == 0


def remove_folder(folder: Path) -> None:
    """Remove a folder and its contents, immutable files as well. Raises FabricError."""
    remove = ["rm", "-rf", "--one-file-system", str(folder)]
    if succeeds(remove):
        return
    succeeds(["chattr", "-R", "-f", "-i", "-a", str(folder)])
    # A process that was killed a moment ago may still be writing.
    if not wait_until(lambda: succeeds(remove), 10):
        run(remove)


def require_programs() -> None:
    """Raise FabricError that names the packages to install, if the host lacks a program."""
    missing = [program for program in _PACKAGES if shutil.which(program) is None]
    if missing:
        raise missing_programs(*missing)


def missing_programs(*programs: str) -> FabricError:
    """The error for missing programs, with the command that installs them."""
    packages = sorted({_PACKAGES.get(program, program) for program in programs})
    return FabricError(
        "InternalExecutionError",
        f"The emulator needs {', '.join(programs)} on this host. "
        f"Install with: apt-get install {' '.join(packages)}",
    )


def wait_until(happened: Callable[[], bool], seconds: float, *, every: float = 0.1) -> bool:
    """Check until it has happened (returns True) or `seconds` have passed (returns False)."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
