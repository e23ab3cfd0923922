"""A temporary OpenSSH server on a loopback address, with its own keys and port."""

from __future__ import annotations

import getpass
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = "127.0.0.9"
_OPENSSH = "/usr/sbin/sshd"


class Sshd:
    """An sshd that lets the user who runs the tests sign in, with another home.

    It accepts its own key, and those in the home's .ssh/authorized_keys.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        self.user = getpass.getuser()
        for name in ("host", "client"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
                check=True,
            )
        self.host_key = (folder / "host.pub").read_text()
        self.private_key = (folder / "client").read_text()
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "sshd_config").write_text(
            f"Port {self.port}\n"
            f"ListenAddress {HOST}\n"
            f"HostKey {folder / 'host'}\n"
            f"AuthorizedKeysFile {folder / 'client.pub'} {self.home / '.ssh/authorized_keys'}\n"
            f"SetEnv HOME={self.home}\n"
            f"PidFile {folder / 'pid'}\n"
            "UsePAM no\n"
            "PasswordAuthentication no\n"
            "StrictModes no\n"
            "AcceptEnv GIVEN_*\n"
            "Subsystem sftp internal-sftp\n"
        )

    @property
    def connection(self) -> dict[str, Any]:
        """The arguments of pulumi_command's ConnectionArgs."""
        return {
            "host": HOST,
            "port": self.port,
            "user": self.user,
            "private_key": self.private_key,
            "host_key": self.host_key,
        }

    def start(self, wait: bool = True) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [_OPENSSH, "-D", "-e", "-f", str(self._folder / "sshd_config")],
            stderr=(self._folder / "log").open("ab"),
        )
        while wait and not _answers(self.port):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def send(self, signal: int) -> None:
        """Send a signal to the server: SIGSTOP lets it no longer answer."""
        assert self._process
        self._process.send_signal(signal)

    def drop_sessions(self) -> None:
        """Kill the processes of the open sessions: their connections break, the server stays."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in children.read_text().split():
            subprocess.run(["kill", "-KILL", child], check=True)


@contextmanager
def running_sshd(folder: Path) -> Iterator[Sshd]:
    """A server with its files in a new folder."""
    folder.mkdir()
    server = Sshd(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
