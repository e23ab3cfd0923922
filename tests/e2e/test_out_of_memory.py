"""A model that needs more memory than there is: its answer ends with an error, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from emulator.host.namespace import group_folders
from emulator.host.places import Places
from emulator.instance import Instance
from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.kept import Kept
from tests.e2e.test_application import started
from tests.e2e.test_operations import run

RUNNER = "pgrep --exact llama-server"
BROKEN_OFF = "The model stopped in the middle of this answer. Ask again."


@pytest.fixture
def chat(deployment: Deployment) -> Iterator[Deployment]:
    """The chat; afterwards `status` has forgotten what happened to its model."""
    deployment.ask("Hello?")
    try:
        yield deployment
    finally:
        deployment.ssh("sudo systemctl restart ollama")
        wait_until(lambda: run(deployment, "status").code == 0, "all is well")


def test_an_answer_whose_model_is_killed_ends_with_an_error(chat: Deployment) -> None:
    kept, running = Kept.by(chat), started(chat)
    before = kept.of(chat)
    story = {"role": "user", "content": "Tell a very long story."}
    body = {"model": chat.outputs["models"][0], "messages": [story], "stream": True}
    events: list[str] = []
    with (
        chat.client(chat.token) as client,
        client.stream("POST", "/api/chat/completions", json=body) as answer,
    ):
        for line in answer.iter_lines():
            if not events:
                chat.ssh(f"sudo kill -KILL $({RUNNER})")
            events += [line.removeprefix("data: ")] if line else []
    assert events[-1] == "[DONE]"
    assert BROKEN_OFF in json.loads(events[-2])["error"]["message"]
    assert chat.ask("Hello?")
    assert kept.of(chat) == before
    assert started(chat) == running
    shown = run(chat, "status")
    assert shown.code == 1
    assert "\nA model was killed at " in shown.output


@contextmanager
def memory_for_ollama(deployment: Deployment, limit: int) -> Iterator[None]:
    """Let Ollama and its models have only so many bytes more than now.

    It stands for `MemoryMax=`: the emulated machine's systemd cannot limit memory. The group is one
    of the host's.
    """
    places = Places(Instance.open(deployment.home))
    [machine] = [
        folder
        for machine in places.machines.iterdir()
        for folder in group_folders(places.container(machine.name))
        if folder.parent.name == "memory"
    ]
    group = machine / "ollama"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        move(machine, group, "ollama")
        yield
    finally:
        move(group, machine)
        group.rmdir()


def move(former: Path, group: Path, name: str | None = None) -> None:
    """Move all processes, or those with this name, to another control group."""
    for process in (former / "cgroup.procs").read_text().split():
        with suppress(OSError):  # it has ended
            if name in (None, Path(f"/proc/{process}/comm").read_text().strip()):
                (group / "cgroup.procs").write_text(process)


@pytest.mark.long
@pytest.mark.skipif(
    not Path("/sys/fs/cgroup/memory").exists(), reason="the limit is written as of cgroup v1"
)
def test_a_model_without_enough_memory_is_what_the_kernel_ends(chat: Deployment) -> None:
    kept, running = Kept.by(chat), started(chat)
    before = kept.of(chat)
    unload = json.dumps({"model": chat.outputs["models"][0], "keep_alive": 0})
    chat.ssh(f"sudo curl --fail --silent --data '{unload}' http://127.0.0.1:11434/api/generate")
    wait_until(lambda: chat.ssh(RUNNER, check=False).code != 0, "no model in memory")
    with memory_for_ollama(chat, 100 * 2**20):
        with pytest.raises(AssertionError, match="llama-server"):
            chat.ask("Hello?")
        assert chat.ssh("true").code == 0
        assert kept.of(chat) == before
    assert started(chat) == running
    assert chat.ask("Hello?")
    shown = run(chat, "status")
    assert shown.code == 1
    assert "\nA model was killed at " in shown.output
    assert "usually because memory ran out" in shown.output


def test_the_kernel_ends_a_model_before_anything_else(deployment: Deployment) -> None:
    """Whatever Open WebUI has in memory: the kernel adds half of all memory to the model's."""
    deployment.ask("Hello?")
    adjusted = f"cat /proc/$({RUNNER} | head -1)/oom_score_adj"
    assert deployment.ssh(adjusted).output.strip() == "500"
    others = "for unit in open-webui nginx ssh; do"
    others += " cat /proc/$(systemctl show --property=MainPID --value $unit)/oom_score_adj; done"
    assert all(int(value) <= 0 for value in deployment.ssh(others).output.split())
    limit = deployment.ssh("systemctl show --property=MemoryMax --value ollama").output
    assert int(limit) == 5539 * 2**20, "of Standard_B2ms"
