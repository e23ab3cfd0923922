"""A checked-out program, and the emulated Azure that its commands work on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ollamazure.review.stacks import run_git
from ollamazure.settings.problems import NAMESPACE

# Seconds that an interrupted command has to end.
PATIENCE = 30
DOCUMENTATION_ADDRESS = "192.0.2.1"


@dataclass(frozen=True)
class Completed:
    """A command that has ended: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def printed(self) -> str:
        """Both outputs, one after the other."""
        return f"{self.stdout}\n{self.stderr}".strip()


@dataclass(frozen=True)
class Checkout:
    """A checked-out program.

    Attributes:
        folder: where it is.
        environment: variables that its commands get in addition to ours.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> Completed:
        """Make its Python environment and install the Pulumi CLI that it pins, if missing."""
        made = self.run("make", "--silent", ".venv")
        if made.code == 0 and self.run(".venv/bin/python", "-c", "import httpx").code:
            # `pulumi install` made the environment, without the emulator's packages.
            pip = ("-m", "pip", "install", "--quiet", "--requirement", "requirements-dev.txt")
            made = self.run(".venv/bin/python", *pip)
        if made.code:
            return made
        return self.run(".venv/bin/python", "-m", "emulator.artifacts", "build", "pulumi-cli")

    def deploy(self, stack: str) -> Completed:
        """Prepare it and deploy a stack; returns the last command that ran."""
        prepared = self.prepare()
        if prepared.code:
            return prepared
        options = ("--stack", stack, *self.with_documentation_address(stack))
        return self.pulumi("up", "--yes", "--skip-preview", *options)

    def with_documentation_address(self, stack: str) -> tuple[str, ...]:
        """Options of `pulumi up` and `preview` for a stack that opens SSH to no address.

        The shipped stacks do not: each operator has to set an address. A preview needs one too, and
        takes one that is reserved for documentation.
        """
        first = f"{NAMESPACE}:sshClients[0]"
        if self.pulumi("config", "get", "--path", first, "--stack", stack).code == 0:
            return ()
        return ("--config-path", "--config", f"{first}={DOCUMENTATION_ADDRESS}")

    def pulumi(self, *arguments: str) -> Completed:
        """Run its `bin/pulumi-local`."""
        return self.run("bin/pulumi-local", "--non-interactive", "--color=never", *arguments)

    def run(self, program: str, *arguments: str) -> Completed:
        """Run one of its programs in its folder; if we are ended, end everything it started."""
        try:
            process = subprocess.Popen(
                [self.folder / program if "/" in program else program, *arguments],
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            return Completed(127, "", f"{error.filename} does not exist.")
        try:
            stdout, stderr = process.communicate()
        except BaseException:
            _end(process)
            raise
        return Completed(process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and everything it started.

    An interrupted engine ends its plugins; a killed one leaves them behind.
    """
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def emulate_azure() -> Iterator[tuple[Path, dict[str, str]]]:
    """A temporary folder with an emulated Azure in plan mode, and the environment that selects it.

    Plan mode makes no machines, so this Azure is only files.
    """
    with tempfile.TemporaryDirectory(prefix="ollamazure-review-") as name:
        home = Path(name)
        yield home, {"OLLAMAZURE_PLAN": "1", "OLLAMAZURE_EMULATOR": str(home / "emulator")}


@contextmanager
def check_out(commit: str, repository: Path, folder: Path) -> Iterator[Path]:
    """Check a commit out into a temporary worktree at `folder`."""
    run_git("worktree", "add", "--quiet", "--detach", str(folder), commit, folder=repository)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        run_git("worktree", "prune", folder=repository)
