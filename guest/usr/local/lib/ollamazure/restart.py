#!/usr/bin/python3 -B
"""Restarts the machine for updates, in the window that the settings declare.

    restart.py on            starts the timer
    restart.py off           stops it, and removes its units
    restart.py run SECONDS   the timer: restarts the machine within this time, if updates need it

It never restarts while someone is signed in by SSH, as each command of `pulumi up` is, or while a
command, a backup, a restore or an update of packages is at work. It waits for answers of models,
until the window ends. See decision 79.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from drift import output_of

TIMER = "ollamazure-restart.timer"
UNITS = [Path("/etc/systemd/system") / name for name in (TIMER, "ollamazure-restart.service")]
# Debian's unattended-upgrades writes it when a new kernel is installed; status.py reads it.
REBOOT_REQUIRED = Path("/run/reboot-required")
PROC = Path("/proc")
# What the commands of `pulumi up` hold (receive.sh), and those of an operator.
COMMANDS = Path("/run/ollamazure")
BACKUP = Path("/srv/data/backup/lock")
# Held by unattended-upgrades and by apt. They are only tried: a shutdown waits for the first.
PACKAGES = (Path("/run/unattended-upgrades.lock"), Path("/var/lib/dpkg/lock-frontend"))
CLEANUP = ["systemctl", "show", "--property=ActiveState", "--value", "ollamazure-cleanup.service"]
OLLAMA_PORT = 11434
ESTABLISHED = "01"  # include/net/tcp_states.h
PAUSE = 10  # seconds
SHUTDOWN_WITHIN = 2400  # seconds; unattended-upgrades may delay it for half an hour


def main(arguments: list[str]) -> int:
    match arguments:
        case ["on"]:
            systemctl("enable", "--quiet", TIMER)
            systemctl("restart", TIMER)  # a timer that runs keeps its former time
        case ["off"]:
            if UNITS[0].exists():
                systemctl("disable", "--quiet", "--now", TIMER)
            for unit in UNITS:
                unit.unlink(missing_ok=True)
            systemctl("daemon-reload")
        case ["run", seconds]:
            restart_within(float(seconds))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def restart_within(seconds: float) -> None:
    """Restarts when nothing stands against it; gives up at the end, until the next window."""
    if not is_needed():
        return
    deadline, reported = time.monotonic() + seconds, ""
    while True:
        ends = time.monotonic() >= deadline
        reason = what_runs() or ("" if ends else what_answers()) or restart()
        if reason != reported:
            say(f"Updates need a restart, which waits: {reason}.")
            reported = reason
        if ends:
            say("The window is over; the next one tries again.")
            return
        time.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))


def is_needed() -> bool:
    """Whether there is a new kernel, or a program runs with a library that was replaced.

    Debian writes REBOOT_REQUIRED for kernels only; with it, `status` reports the libraries, too.
    """
    if not REBOOT_REQUIRED.exists() and uses_replaced_libraries():
        REBOOT_REQUIRED.touch()
    return REBOOT_REQUIRED.exists()


def uses_replaced_libraries() -> bool:
    for maps in PROC.glob("[0-9]*/maps"):
        with suppress(OSError):  # a process that has ended
            text = maps.read_text(errors="replace")
            if re.search(r" /usr/lib/\S+\.so[.\d]* \(deleted\)$", text, re.MULTILINE):
                return True
    return False


def what_runs() -> str:
    """What a restart would cut; empty if nothing is at work."""
    with ExitStack() as locks:
        return hold(locks)


def hold(locks: ExitStack) -> str:
    """Takes the locks of all that a restart would cut; returns what has one, or runs without."""
    if is_anyone_signed_in():
        return "an operator or `pulumi up` is connected by SSH"
    for path in filter(Path.exists, (*sorted(COMMANDS.glob("*.lock")), BACKUP)):
        try:
            fcntl.flock(locks.enter_context(path.open("rb")), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "a backup is at work" if path == BACKUP else f"{path.stem} is at work"
    for path in filter(Path.exists, PACKAGES):
        try:
            with path.open("r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "updates are being installed"
    return "the nightly cleanup is at work" if output_of(CLEANUP) == "activating" else ""


def is_anyone_signed_in() -> bool:
    """By the titles that sshd gives its processes: `sshd-session: USER@notty` or `USER@pts/0`."""
    for command in PROC.glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if re.match(rb"sshd-session: [^\s@]+@\S", command.read_bytes()):
                return True
    return False


def what_answers() -> str:
    """Connections to Ollama, one for each answer that is being written; empty if none is open."""
    port = f":{OLLAMA_PORT:04X}"
    for table in filter(Path.exists, (PROC / "net/tcp", PROC / "net/tcp6")):
        for line in map(str.split, table.read_text().splitlines()[1:]):
            if line[1].endswith(port) and line[3] == ESTABLISHED:
                return "a model is answering"
    return ""


def restart() -> str:
    """Restarts the machine, unless something has begun meanwhile; returns what."""
    # A command that came now would be cut, and Pulumi tries to connect until SSH is back.
    systemctl("stop", "ssh.service")
    try:
        with ExitStack() as locks:
            if reason := hold(locks):
                return reason
            say("Restarting the machine for updates.")
            systemctl("reboot")
            time.sleep(SHUTDOWN_WITHIN)  # systemd ends this process
            return "systemd has not restarted the machine"
    finally:
        systemctl("start", "ssh.service")


def systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", *arguments], check=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
