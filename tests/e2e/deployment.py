"""A deployment made by the program itself, and the ways a test looks at it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import httpx

from components.certificate import sha256_fingerprint
from emulator.host import faults
from emulator.instance import Instance
from ollamazure.operate.connection import MachineConnection

PROJECT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@dataclass
class Ran:
    """How a command ended: exit code and everything it printed."""

    code: int
    output: str


class Shell:
    """Runs commands over one SSH connection, and over a new one after that has ended.

    It has a thread of its own: Playwright keeps a loop in the tests'.
    """

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, asyncssh.SSHClientConnection]]):
        self._connect = connect
        self._connection: asyncssh.SSHClientConnection | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, command: str, stdin: str) -> asyncssh.SSHCompletedProcess:
        """Raises OSError or asyncssh.Error if the machine is not reached."""
        # Without any input it ends at once; asyncssh would leave it open.
        given: dict[str, Any] = {"input": stdin} if stdin else {"stdin": asyncssh.DEVNULL}
        process: asyncssh.SSHClientProcess[str] = self.use(
            lambda connection: connection.create_process(command, stderr=asyncssh.STDOUT, **given)
        )
        return self._result(process.wait())

    def use(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[T]]) -> T:
        """The result of `work`, which begins something on the connection; the errors of `run`."""
        return self._result(self._use(work))

    def close(self) -> None:
        """End the connection; the next command makes another."""
        if self._connection:
            self._loop.call_soon_threadsafe(self._connection.close)
            self._connection = None

    def _result(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _use(self, work: Callable[[asyncssh.SSHClientConnection], Awaitable[T]]) -> T:
        try:
            return await work(await self._connected())
        except (OSError, asyncssh.Error):
            self._connection = None  # it had ended unnoticed
            return await work(await self._connected())

    async def _connected(self) -> asyncssh.SSHClientConnection:
        if self._connection is None:
            self._connection = await self._connect()
        return self._connection


@dataclass
class Deployment:
    """One stack in an emulated Azure of its own; `project` is the tree whose program deploys it."""

    home: Path
    stack: str = "local"
    environment: dict[str, str] = field(default_factory=dict)
    project: Path = PROJECT

    def pulumi(self, *arguments: str, check: bool = True, stdin: str | None = None) -> Ran:
        """Run bin/pulumi-local on the stack; what it prints is kept in a log of the test run.

        Raises:
            AssertionError: it failed although `check` is on.
        """
        command = [str(self.project / "bin" / "pulumi-local"), "--non-interactive", *arguments]
        done = subprocess.run(
            [*command, "--stack", self.stack],
            cwd=self.project,
            env={**os.environ, "OLLAMAZURE_EMULATOR": str(self.home), **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            input=stdin,
        )
        with self.log.open("a") as log:
            log.write(f"$ pulumi {' '.join(arguments)}\n{done.stdout}\n")
        assert not check or done.returncode == 0, done.stdout
        return Ran(done.returncode, done.stdout)

    @property
    def log(self) -> Path:
        """Everything that Pulumi printed for this deployment."""
        return self.home.parent / f"{self.home.name}.log"

    def up(self, **settings: str) -> Ran:
        """`pulumi up`, after setting the given settings."""
        pairs = [f"ollamazure:{key}={value}" for key, value in settings.items()]
        if pairs:
            plain = [part for pair in pairs for part in ("--plaintext", pair)]
            self.pulumi("config", "set-all", "--path", *plain)
        self.forget()
        return self.pulumi("up", "--yes", "--skip-preview")

    def forget(self) -> None:
        """Read outputs and certificate again when they are next asked for."""
        for name in ("outputs", "tls", "token"):
            self.__dict__.pop(name, None)
        self.shell.close()

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in plain."""
        ran = self.pulumi("stack", "output", "--json", "--show-secrets")
        outputs: dict[str, Any] = json.loads(ran.output)
        return outputs

    @property
    def address(self) -> str:
        """The stand-in for the public address, in 127.0.0.0/8."""
        return str(self.outputs["sshCommand"]).rpartition("@")[2]

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Trusts the stack's authority; the certificate must have the outputs' fingerprint."""
        pem = ssl.get_server_certificate((self.address, 443))
        assert sha256_fingerprint(pem) == self.outputs["certificateFingerprint"]
        # An earlier version has no authority: its certificate signed itself.
        return ssl.create_default_context(cadata=self.outputs.get("caCertificate", pem))

    def client(self, token: str | None = None) -> httpx.Client:
        """A client of the chat's API, as through the internet."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            base_url=self.outputs["url"], verify=self.tls, headers=headers, timeout=120
        )

    def sign_in(self) -> str:
        """The administrator's token."""
        credentials = {
            "email": self.outputs["adminEmail"],
            "password": self.outputs["adminPassword"],
        }
        with self.client() as client:
            answer = client.post("/api/v1/auths/signin", json=credentials)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        return token

    @cached_property
    def token(self) -> str:
        """The administrator's token, of one sign-in: Nginx and Open WebUI both limit their rate."""
        return self.sign_in()

    def ask(self, question: str) -> str:
        """One answer of the first model, not streamed."""
        body = {
            "model": self.outputs["models"][0],
            "messages": [{"role": "user", "content": question}],
            "stream": False,
            "max_tokens": 64,
        }
        with self.client(self.token) as client:
            answer = client.post("/api/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        content: str = answer.json()["choices"][0]["message"]["content"]
        return content

    def last_check(self, **changes: Any) -> Ran:
        """Run the program of `chat-answers`, as from this computer, with `changes` to its input."""
        outputs = self.outputs
        task = {
            "url": outputs["url"],
            "trust": outputs["certificateTrust"],
            "fingerprint": outputs.get("certificateFingerprint"),
            "models": outputs["models"],
            "presets": [],
            "answer_within": 900,
            "machine": asdict(MachineConnection.from_outputs(outputs)),
            **changes,
        }
        done = subprocess.run(
            [sys.executable, str(PROJECT / "guest/usr/local/lib/ollamazure/chat_answers.py")],
            input=json.dumps(task),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert "eyJ" not in done.stdout, "a session is shown"
        return Ran(done.returncode, done.stdout)

    def ssh(self, command: str, *, check: bool = True, stdin: str = "") -> Ran:
        """Run `command` on the machine as its administrator (with sudo where it says so)."""
        done = self.shell.run(command, stdin)
        output = str(done.stdout or "")
        assert not check or done.exit_status == 0, f"{command}\n{output}"
        return Ran(done.exit_status or 0, output)

    @cached_property
    def shell(self) -> Shell:
        """All commands share one connection: a sign-in takes longer than most of them."""
        return Shell(self.connect)

    async def connect(self) -> asyncssh.SSHClientConnection:
        """A connection to the machine as its administrator."""
        return await asyncssh.connect(
            self.address,
            username=self.outputs["sshCommand"].partition("@")[0].rpartition(" ")[2],
            client_keys=[asyncssh.import_private_key(self.outputs["sshPrivateKey"])],
            known_hosts=None,
            agent_path=None,
            config=None,
            keepalive_interval=5,
        )

    def connects(self, port: int, *, source: str = "127.0.0.1") -> bool:
        """Whether a TCP connection to the public address is accepted for a client at `source`."""
        with socket.socket() as attempt:
            attempt.settimeout(5)
            attempt.bind((source, 0))
            try:
                attempt.connect((self.address, port))
            except OSError:
                return False
        return True


def boot(deployment: Deployment) -> str:
    """When systemd took over in this boot."""
    return deployment.ssh("systemctl show --property=UserspaceTimestampMonotonic").output


def cut_power(deployment: Deployment) -> None:
    """Cut the machine's power; it has booted again when this returns."""
    identity = "cat /proc/sys/kernel/random/boot_id"
    before = deployment.ssh(identity).output
    faults.cut_power(Instance.open(deployment.home))
    deployment.shell.close()
    wait_until(lambda: deployment.ssh(identity).output != before, "the next boot", patience=600)


def wait_until(condition: Callable[[], bool], what: str, *, patience: float = 180) -> None:
    """Wait until `condition` holds; errors of a machine that is just starting count as not yet.

    Raises:
        AssertionError: it did not hold within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (OSError, AssertionError, httpx.HTTPError, asyncssh.Error) as error:
            last = error
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {patience:.0f} s; last: {last!r}")
