"""From a booted machine to the first answer: `pulumi up`, and the guide's own steps."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from emulator.artifacts import paths, pins
from emulator.host.commands import run as run_here
from emulator.host.mirrors import REGISTRY_HOST
from emulator.host.network import MIRROR_PORT
from emulator.host.places import Places
from emulator.host.speeds import Speed, Speeds
from emulator.instance import PROJECT, Instance
from emulator.plugins import install
from ollamazure import catalog
from tests.e2e import padded_mirror
from tests.e2e.deployment import Shell
from tools.benchmarks.machine import remove_azure
from tools.benchmarks.measurement import Goal, Plot, Spread, Table
from tools.benchmarks.pulumi_reference import REFERENCES, ReferenceProgram
from tools.benchmarks.run import Benchmark, Run

ROUNDS = 3
MBITS = 200.0
FREE = 25e9  # bytes: the padded artifacts, the image twice, the machine
TIMES = 0.5
ANSWERED = "chat-answers"  # the command that asks each model a question
STEP = re.compile(r"^step (\d+\.\d) (.+)$", re.MULTILINE)
# A line of Pulumi, such as " +  azure-native:compute:VirtualMachine chat-vm created (12s)".
DONE = re.compile(r"^ *[+~@ ]* *\S*?:(?P<type>\w+) (?P<name>\S+) (created|updated)\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Setup:
    """How one machine came to its first answer.

    Attributes:
        seconds: from the machine that answers by SSH to the first answer.
        whole: the same to the end, after the first backup.
        steps: seconds and names of what was done meanwhile.
        received: bytes that came to the machine over its network.
    """

    seconds: float
    whole: float
    steps: tuple[tuple[float, str], ...]
    received: int


def measure(run: Run) -> None:
    ours: list[Setup] = []
    guide: list[Setup] = []
    for number in range(ROUNDS):
        run.say(f"round {number + 1} of {ROUNDS}, artifacts on this machine")
        pair = [_set_up_ours, _set_up_by_guide]
        for set_up in pair if number % 2 == 0 else reversed(pair):
            found = set_up(run.folder, {})
            (ours if set_up is _set_up_ours else guide).append(found)
    _add_rows(run, "artifacts on this machine", ours, guide)
    free = shutil.disk_usage(run.folder).free
    if free < FREE:
        run.notes.append(
            f"The downloads of real size were left out: the disk has {free / 1e9:.0f} GB free, and "
            f"they take {FREE / 1e9:.0f}."
        )
        return
    run.say(f"artifacts of real size over {MBITS:g} Mbit/s")
    mirror, scratch = run.folder / "mirror", run.folder / "scratch"
    scratch.mkdir()
    padded_mirror.make(mirror, scratch)
    environment = {"OLLAMAZURE_MIRROR": str(mirror)}
    _add_rows(
        run,
        f"artifacts of real size over {MBITS:g} Mbit/s",
        [_set_up_ours(run.folder, environment, MBITS)],
        [_set_up_by_guide(run.folder, environment, MBITS)],
    )


def _add_rows(run: Run, where: str, ours: Sequence[Setup], guide: Sequence[Setup]) -> None:
    both = (ours, guide)
    seconds = [Spread.of(*(setup.seconds for setup in setups)) for setups in both]
    received = [Spread.of(*(setup.received / 2**20 for setup in setups)) for setups in both]
    run.row(
        f"{where}: from a booted machine to the first answer",
        "s",
        seconds[0],
        seconds[1],
        Goal("ratio", TIMES),
    )
    whole = Spread.of(*(setup.whole for setup in ours))
    run.row(f"{where}: to the end of `pulumi up`, after the first backup", "s", whole)
    run.row(f"{where}: what the machine received", "MiB", received[0], received[1])
    for name, setup in (("this project", ours[-1]), ("the guide's steps", guide[-1])):
        header = ("done", "after, s")
        steps = [(what, f"{after:.1f}") for after, what in setup.steps]
        run.tables.append(Table(f"{where}: {name}, the last time", header, steps))
    run.plots.append(
        Plot(
            f"To the first answer, {where}",
            "",
            "seconds",
            {"": [("this project", seconds[0]), ("the guide's steps", seconds[1])]},
        )
    )


def _set_up_ours(folder: Path, environment: Mapping[str, str], mbits: float | None = None) -> Setup:
    with _azure(folder / "ours", mbits) as instance:
        process = subprocess.Popen(
            [
                PROJECT / "bin" / "pulumi-local",
                *("--non-interactive", "--color=never", "up", "--yes", "--skip-preview"),
                *("--stack", "local"),
            ],
            cwd=PROJECT,
            env={**os.environ, "OLLAMAZURE_EMULATOR": str(instance.home), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            lines = [(time.monotonic(), line) for line in process.stdout or ()]
            process.wait()
        finally:
            process.kill()  # if the time is over
        ended = time.monotonic()
        printed = "".join(line for _, line in lines)
        if process.returncode:
            raise AssertionError(printed)
        booted, steps = read_progress(lines)
        answered = next(after for after, what in steps if what == ANSWERED)
        return Setup(answered, ended - booted, steps, _received(instance))


def read_progress(
    lines: Sequence[tuple[float, str]],
) -> tuple[float, tuple[tuple[float, str], ...]]:
    """When the machine had booted, and what was done how long after it, from Pulumi's lines.

    Raises:
        AssertionError: no line is about the machine.
    """
    booted: float | None = None
    steps = []
    for at, line in lines:
        found = DONE.match(_COLOUR.sub("", line))
        if found and found["type"] == "VirtualMachine":
            booted = at
        elif found and booted is not None:
            steps.append((at - booted, found["name"]))
    if booted is None:
        raise AssertionError("`pulumi up` printed no line about a machine that was created")
    return booted, tuple(steps)


def _set_up_by_guide(
    folder: Path, environment: Mapping[str, str], mbits: float | None = None
) -> Setup:
    home = folder / "guide"
    with _azure(home, mbits) as instance:
        install.install(instance, paths.pulumi())
        program = ReferenceProgram("guide", instance, plan=False, **environment)
        try:
            program.up()
            outputs = json.loads(program.run("stack", "output", "--json", "--show-secrets"))
            printed = _follow_the_guide(outputs)
            steps = tuple((float(after), what) for after, what in STEP.findall(printed))
            return Setup(steps[-1][0], steps[-1][0], steps, _received(instance))
        finally:
            program.remove()


def _follow_the_guide(outputs: Mapping[str, Any]) -> str:
    """Run the script on the machine; returns what it prints. Raises AssertionError."""

    async def connect() -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            outputs["address"],
            username=outputs["user"],
            client_keys=[asyncssh.import_private_key(outputs["privateKey"])],
            known_hosts=None,
            agent_path=None,
            config=None,
            keepalive_interval=5,
        )

    versions = catalog.versions()
    values = {
        "mirror": f"{REGISTRY_HOST}:{MIRROR_PORT}",
        "ollama_version": pins.OLLAMA,
        "bundle": versions.ollama.file,
        "model": ":".join((pins.MODEL[0].removeprefix("library/"), pins.MODEL[1])),
        "webui_image": image_of("open-webui"),
        "nginx_image": image_of("nginx"),
        "address": outputs["address"],
    }
    script = (REFERENCES / "guide" / "guide.sh").read_text("utf-8")
    shell = Shell(connect)
    try:
        # The machine has booted when cloud-init is done; what it did before does not count.
        shell.run("cloud-init status --wait; sudo tee /root/guide.sh >/dev/null", script)
        assigned = " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
        done = shell.run(
            f"sudo env {assigned} bash /root/guide.sh", f"{secrets.token_urlsafe(18)}aA1\n"
        )
    finally:
        shell.close()
    printed = str(done.stdout or "")
    if done.exit_status:
        raise AssertionError(f"the guide's steps failed:\n{printed}")
    return printed


def image_of(name: str) -> str:
    """The image that the program uses, as `podman pull` takes it."""
    pin = pins.CATALOG[name]
    return f"{pin['registry']}/{pin['repository']}:{pin['tag']}"


@contextmanager
def _azure(home: Path, mbits: float | None) -> Iterator[Instance]:
    """An emulated Azure, which is removed."""
    instance = Instance.open(home)
    if mbits:
        Speeds(Places(instance)).set(Speed(network_mbits=mbits))
    try:
        yield instance
    finally:
        remove_azure(home)


def _received(instance: Instance) -> int:
    """Bytes that the router sent to the machine."""
    router = Places(instance).network_namespace(0)
    links = json.loads(run_here(["ip", "-n", router, "-s", "-j", "link", "show"]))
    return sum(
        int(link["stats64"]["tx"]["bytes"]) for link in links if link["ifname"].startswith("nic")
    )


BENCHMARK = Benchmark(
    name="up",
    measures="the time from a booted machine to the first answer, against the guide's own steps",
    constant=(
        "Emulated machines of the size Standard_B2ms with the same image, mirrors, model and "
        "versions, one after the other; each is new and removed afterwards.",
        "The reference is `tools/benchmarks/references/guide/guide.sh`: the guide's commands one "
        "after the other, without any time for reading and typing. Its clock starts when "
        "cloud-init is done; this project's when the machine answers by SSH, and cloud-init still "
        "works then.",
        f"{ROUNDS} times each in turn with artifacts on this machine; once each with downloads of "
        f"the official sizes over {MBITS:g} Mbit/s.",
    ),
    minutes=60,
    measure=measure,
)
