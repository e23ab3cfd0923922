"""The connection ends, or the machine restarts, in the middle of each kind of remote command.

A command stops in its middle when the file of its manifest is a pipe that nothing reads: it has
noted that it is unfinished, and has written none of its files.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import asyncssh
import pytest

from emulator.azure.service import Azure
from emulator.instance import Instance
from tests.e2e.deployment import Deployment, Ran, boot, wait_until
from tests.e2e.kept import Kept
from tests.tiers import first_of

# Every command of the stack `local`. Those that Pulumi can replace without an effect come first.
COMMANDS = (
    "nginx",
    "machine-ready",
    "nginx-config",
    "nginx-certificate",
    "ollama",
    "open-webui",
    "open-webui-admin",
    "open-webui-settings",
    "model-smollm2-135m",
    "group-chat-only",
    "backup",
)
UNDONE = {"model-smollm2-135m", "group-chat-only", "backup"}  # when they are replaced
INSTALLED = "/etc/ollamazure/installed"
RUNS = "pgrep --count --full '^flock --close /run/ollamazure/{}.lock'"
# The connection of the oldest run of a command: its process on the machine, the client's port.
CONNECTION = """
pid=$(pgrep --oldest --full '^flock --close /run/ollamazure/NAME.lock')
while [ "$(ps -o comm= "$pid")" != sshd-session ]; do pid=$(ps -o ppid= "$pid" | tr -d ' '); done
echo "$pid"
sudo ss --no-header --tcp --processes state established '( sport = :22 )' |
    awk -v pid="pid=$pid," 'index($0, pid) { sub(/.*:/, "", $4); print $4 }'
"""
SILENCE = """add table inet cut
add chain inet cut input {{ type filter hook input priority -300; }}
add chain inet cut output {{ type filter hook output priority -300; }}
add rule inet cut input tcp sport {0} drop
add rule inet cut output tcp dport {0} drop"""


def pipe(name: str) -> str:
    return f"{INSTALLED}/{name}/manifest.json"


@contextmanager
def held(deployment: Deployment, *names: str) -> Iterator[None]:
    """These commands stop in their middle, until `let_go` or the end."""
    files = " ".join(map(pipe, names))
    deployment.ssh(f"sudo rm -f {files} && sudo mkfifo -m 0644 {files}")
    try:
        yield
    finally:
        left = f"for file in {files}; do [ ! -p $file ] || sudo rm $file; done"
        wait_until(lambda: deployment.ssh(left).code == 0, "the machine")


def let_go(deployment: Deployment, name: str) -> None:
    """The command that stopped goes on; the next one does not stop."""
    text = f"exec 3<{pipe(name)}; rm {pipe(name)}; cat <&3 >/dev/null"
    deployment.ssh(f"sudo bash -c '{text}'")


def is_in_its_middle(deployment: Deployment, name: str) -> bool:
    unfinished = f"sudo test -e {INSTALLED}/{name}/unfinished"
    return runs(deployment, name) > 0 and deployment.ssh(unfinished, check=False).code == 0


def runs(deployment: Deployment, name: str) -> int:
    """How many runs of a command there are; one of them is at work."""
    return int(deployment.ssh(RUNS.format(name), check=False).output)


def run_again(deployment: Deployment, name: str) -> Callable[[], Ran]:
    """Makes `pulumi up` run the command although nothing has changed."""
    up = ("up", "--yes", "--skip-preview")
    if name not in UNDONE:
        return lambda: deployment.pulumi(*up, "--target-replace", f"**::{name}", check=False)
    reapply = secrets.token_hex(4)
    deployment.pulumi("config", "set", "ollamazure:reapply", reapply, "--plaintext")
    return lambda: deployment.pulumi(*up, "--target", f"**::{name}", check=False)


@pytest.fixture
def machine(deployment: Deployment) -> Iterator[Deployment]:
    """The shared machine; afterwards its settings are what they were."""
    yield deployment
    if deployment.pulumi("config", "get", "ollamazure:reapply", check=False).code == 0:
        deployment.pulumi("config", "rm", "ollamazure:reapply")
        deployment.up()


@pytest.mark.parametrize("name", first_of(COMMANDS))
def test_a_connection_that_ends_in_the_middle_of_a_command(machine: Deployment, name: str) -> None:
    """The next `up` waits for the run that is still at work, then runs the command to its end."""
    kept = Kept.by(machine)
    before = kept.of(machine)
    up = run_again(machine, name)
    with ThreadPoolExecutor() as pool, held(machine, name):
        first = pool.submit(up)
        wait_until(lambda: is_in_its_middle(machine, name), "the command's middle")
        pid, _ = connection(machine, name)
        machine.ssh(f"sudo kill {pid}")
        failed = first.result()
        assert failed.code != 0
        assert "was lost" in failed.output
        assert runs(machine, name) == 1, "the command still runs"

        second = pool.submit(up)
        wait_until(lambda: runs(machine, name) == 2, "another run, which waits")
        let_go(machine, name)
        assert second.result().code == 0, second.result().output
    assert not is_in_its_middle(machine, name)
    assert machine.ssh(f"sudo test -s {pipe(name)} -a -f {pipe(name)}").code == 0
    assert kept.of(machine) == before


def connection(deployment: Deployment, name: str) -> list[str]:
    return deployment.ssh(CONNECTION.replace("NAME", name)).output.split()


@pytest.mark.long
def test_a_connection_that_falls_silent_is_noticed(machine: Deployment) -> None:
    """Nothing ends it: a router on the way has lost it. The client sees it by itself."""
    up = run_again(machine, "nginx")
    with ThreadPoolExecutor() as pool, held(machine, "nginx"):
        first = pool.submit(up)
        wait_until(lambda: is_in_its_middle(machine, "nginx"), "the command's middle")
        _, port = connection(machine, "nginx")
        machine.ssh("sudo nft --file -", stdin=SILENCE.format(port))
        try:
            failed = first.result()
        finally:
            machine.ssh("sudo nft delete table inet cut")
        assert failed.code != 0
        assert "was lost" in failed.output
        let_go(machine, "nginx")
    done = up()
    assert done.code == 0, done.output
    assert machine.ask("Hello?")


@pytest.mark.long
def test_a_machine_that_restarts_in_the_middle_of_every_command(machine: Deployment) -> None:
    """All of them at once, as Pulumi would start them."""
    kept, booted = Kept.by(machine), boot(machine)
    before = kept.of(machine)
    steps = commands_of(machine)
    with held(machine, *steps):
        for step in steps.values():
            machine.shell.use(start(step))
        for name in steps:
            wait_until(partial(is_in_its_middle, machine, name), name)
        azure = Azure(Instance.open(machine.home))
        azure.wait(azure.action(vm_of(machine), "restart"))
        machine.shell.close()
        wait_until(lambda: boot(machine) != booted, "another boot")
    machine.up(reapply=secrets.token_hex(4))
    unfinished = machine.ssh(f"sudo find {INSTALLED} -name unfinished").output
    assert unfinished == ""
    assert kept.of(machine) == before
    assert machine.ask("Hello?")


def start(step: dict[str, Any]) -> Callable[[asyncssh.SSHClientConnection], Any]:
    """What pulumi-command does with the command, without waiting for its end."""
    environment = step.get("environment") or {}

    def create(connection: asyncssh.SSHClientConnection) -> Any:
        return connection.create_process(step["create"], input=step["stdin"], env=environment)

    return create


def exported(deployment: Deployment) -> list[dict[str, Any]]:
    state = json.loads(deployment.pulumi("stack", "export", "--show-secrets").output)
    resources: list[dict[str, Any]] = state["deployment"]["resources"]
    return resources


def commands_of(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """The inputs of each remote command of the stack, in plain."""
    found = {
        each["urn"].rpartition("::")[2]: {
            name: plain(value) for name, value in each["inputs"].items()
        }
        for each in exported(deployment)
        if each["type"] == "command:remote:Command"
    }
    assert sorted(found) == sorted(COMMANDS)
    return found


def plain(value: Any) -> Any:
    """A property of the state without the envelope of a secret."""
    return (
        json.loads(value["plaintext"])
        if isinstance(value, dict) and "plaintext" in value
        else value
    )


def vm_of(deployment: Deployment) -> str:
    kind = "azure-native:compute:VirtualMachine"
    (found,) = [each["id"] for each in exported(deployment) if each["type"] == kind]
    return str(found)
