"""`ollamazure status`, `logs` and `ssh` on a running machine."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from playwright.sync_api import Page

from ollamazure.operate import logs, ssh
from ollamazure.operate.connection import MachineConnection
from tests.e2e.browser import ask, choose, sign_in
from tests.e2e.deployment import PROJECT, Deployment, Ran, wait_until
from tests.e2e.test_application import started


def environment(deployment: Deployment) -> dict[str, str]:
    return {**os.environ, "OLLAMAZURE_EMULATOR": str(deployment.home)}


def command(deployment: Deployment, name: str, *arguments: str) -> list[str]:
    return ["bin/ollamazure", name, "--stack", deployment.stack, *arguments]


def run(deployment: Deployment, name: str, *arguments: str, within: Sequence[str] = ()) -> Ran:
    """Run a command of the operators; `within` is a program that starts it."""
    done = subprocess.run(
        [*within, *command(deployment, name, *arguments)],
        cwd=PROJECT,
        env=environment(deployment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout)


def rows(screen: str) -> dict[str, str]:
    """The rows of the status by their names."""
    return {line[:13].strip(): line[13:] for line in screen.splitlines()[2:]}


def test_a_stopped_service_is_named(deployment: Deployment) -> None:
    well = run(deployment, "status")
    assert well.code == 0, well.output
    assert well.output.startswith("local: healthy\n")
    shown = rows(well.output)
    assert shown["Chat"] == f"{deployment.outputs['url']} answers"
    for name in ("Ollama", "Open WebUI", "Nginx"):
        version = shown[name].removeprefix("runs, ")
        assert version[-1].isdigit(), shown
    assert all(model in shown["Models"] for model in deployment.outputs["models"])
    assert shown["Data disk"].endswith(" GiB free")

    asks = "echo linux-image-cloud-amd64 | sudo tee /run/reboot-required.pkgs"
    deployment.ssh(f"sudo systemctl stop nginx && sudo touch /run/reboot-required && {asks}")
    try:
        ill, as_json = run(deployment, "status"), run(deployment, "status", "--json")
    finally:
        deployment.ssh("sudo systemctl start nginx && sudo rm /run/reboot-required*")
    assert ill.code == 1, ill.output
    assert (
        "\nNginx is stopped. `bin/ollamazure logs --stack local --unit nginx` shows why.\n"
        in ill.output
    )
    shown = rows(ill.output)
    assert shown["Nginx"] == "is stopped"
    assert shown["Certificate"] == rows(well.output)["Certificate"]
    assert shown["Restart"].startswith("needed for linux-image-cloud-amd64: ")
    assert as_json.code == 1
    state = json.loads(as_json.output)
    assert {"chat", "service.nginx"} <= {problem["id"] for problem in state["problems"]}
    assert state["restart"] == {"needed": True, "packages": ["linux-image-cloud-amd64"]}
    assert f"Linux {state['machine']['kernel']}" in shown["System"]
    wait_until(lambda: deployment.connects(443), "Nginx is back")


@pytest.mark.long
def test_a_failed_unit_is_named(deployment: Deployment) -> None:
    unit = "/etc/systemd/system/test-fails.service"
    service = "[Service]\nType=oneshot\nExecStart=false\n"
    deployment.ssh(f"sudo tee {unit}", stdin=service)
    deployment.ssh("sudo systemctl daemon-reload; sudo systemctl start test-fails", check=False)
    try:
        ill = run(deployment, "status")
    finally:
        deployment.ssh(f"sudo systemctl reset-failed test-fails && sudo rm {unit}")
        deployment.ssh("sudo systemctl daemon-reload")
    assert ill.code == 1, ill.output
    assert rows(ill.output)["Failed units"] == "test-fails.service"
    assert "\nThe systemd unit test-fails.service has failed. `bin/ollamazure ssh" in ill.output
    assert run(deployment, "status").code == 0


@pytest.mark.long
@pytest.mark.parametrize("signal_name", ["KILL", "STOP"])
def test_a_dead_dns_of_the_containers_is_named_and_comes_back(
    deployment: Deployment, signal_name: str
) -> None:
    """Without it Nginx does not find Open WebUI, and every page is that of the preparation."""
    before = started(deployment)
    service = "ollamazure-container-dns"
    deployment.ssh(f"sudo systemctl stop {service}")
    deployment.ssh(f"sudo pkill --signal {signal_name} --exact aardvark-dns")
    dead = deployment.ssh("pgrep --exact aardvark-dns", check=False).output
    try:
        ill = run(deployment, "status")
    finally:
        deployment.ssh(f"sudo systemctl start {service}")
    assert ill.code == 1, ill.output
    assert "\nThe DNS of the containers (aardvark-dns) does not answer" in ill.output

    def is_another() -> bool:
        return deployment.ssh("pgrep --exact aardvark-dns").output != dead

    wait_until(is_another, "another aardvark-dns")
    with deployment.client() as client:
        wait_until(lambda: client.get("/").status_code == 200, "the page")
    assert run(deployment, "status").code == 0
    assert started(deployment) == before


@pytest.mark.parametrize("unit", logs.Unit)
def test_the_logs_hold_the_services_lines_and_no_secret(
    deployment: Deployment, unit: logs.Unit
) -> None:
    assert deployment.ask("Say marzipan.")
    ran = run(deployment, "logs", "--unit", unit, "--since", "12h")
    assert ran.code == 0, ran.output
    assert f" {unit}[" in ran.output
    # Open WebUI logs warnings and errors only; one may name a request to Ollama by its whole URL.
    has_requests = bool(re.search(r'POST +"?/', ran.output))
    assert has_requests == (unit is not logs.Unit.OPEN_WEBUI), ran.output
    assert "marzipan" not in ran.output, "questions are private"
    assert logs.MASK not in ran.output, "a service has logged what was masked"
    assert not [secret for secret in logs.secrets_of(deployment.outputs) if secret in ran.output]


def test_following_the_logs_ends_cleanly(deployment: Deployment) -> None:
    following = subprocess.Popen(
        command(deployment, "logs", "--follow", "--unit", "nginx", "--since", "1s"),
        cwd=PROJECT,
        env=environment(deployment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with following:
        with deployment.client() as client:
            wait_until(lambda: "journalctl" in journals(deployment), "the journal is read")
            assert client.get("/health", headers={"User-Agent": "seen-in-the-logs"}).is_success
        assert following.stdout
        assert any("seen-in-the-logs" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait() == 0
        assert "Traceback" not in following.stdout.read()
    wait_until(lambda: not journals(deployment), "the journal is no longer read")


def journals(deployment: Deployment) -> str:
    return deployment.ssh("pgrep --list-name journalctl", check=False).output


def test_a_command_runs_on_the_machine_and_its_exit_code_comes_back(deployment: Deployment) -> None:
    ran = run(deployment, "ssh", "hostname && sudo id --user && exit 7")
    assert (ran.code, ran.output.split()) == (7, [deployment.ssh("hostname").output.strip(), "0"])


def test_the_private_key_is_in_no_file_and_on_no_command_line(
    deployment: Deployment, tmp_path: Path
) -> None:
    lines_of_key = logs.secrets_of({"sshPrivateKey": deployment.outputs["sshPrivateKey"]})
    # Other processes of the host may have other keys, which all start with the same line.
    key = [line for line in lines_of_key if not line.startswith("b3BlbnNzaC1rZXktdjE")]
    assert key
    session = subprocess.Popen(
        command(deployment, "ssh", "echo begun; cat"),
        cwd=PROJECT,
        env={**environment(deployment), "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with session:
        assert session.stdout
        assert session.stdout.readline() == "begun\n"
        (folder,) = tmp_path.glob("ollamazure-*")
        assert [entry.name for entry in folder.iterdir()] == ["agent"]
        assert (folder / "agent").is_socket()
        lines = command_lines()
        assert f"{folder}/agent" in lines
        assert not [line for line in key if line in lines]
        session.communicate()
    assert session.returncode == 0
    assert str(folder) not in command_lines(), "the agent is still there"
    left = [entry for entry in tmp_path.rglob("*") if entry.is_file()]
    assert not [entry for entry in left for line in key if line in entry.read_text("latin-1")]
    assert not folder.exists()


def command_lines() -> str:
    """Command lines and environments of all processes."""
    lines = io.StringIO()
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                lines.write((process / file).read_text("latin-1"))
    return lines.getvalue()


def test_another_host_key_is_refused(deployment: Deployment) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    machine = MachineConnection.from_outputs({**deployment.outputs, "hostKey": other})
    assert ran(machine, ["true"]) != 0
    assert ran(MachineConnection.from_outputs(deployment.outputs), ["true"]) == 0


def ran(machine: MachineConnection, command: Sequence[str]) -> Any:
    with ssh.start_agent(machine.private_key) as socket:
        return subprocess.run(ssh.ssh_command(machine, socket, command), check=False).returncode


def test_usage_has_the_tokens_of_an_answer(deployment: Deployment, page: Page) -> None:
    outputs = deployment.outputs
    sign_in(page, deployment, outputs["adminEmail"], outputs["adminPassword"])
    choose(page, outputs["models"][0])
    ask(page, "Hi")

    def is_counted() -> bool:
        """When the answer has ended."""
        printed = run(deployment, "usage", "--by", "day", "--csv")
        assert printed.code == 0, printed.output
        return any(
            (row["email"], row["model"]) == (outputs["adminEmail"], outputs["models"][0])
            and int(row["input_tokens"]) > 0
            and int(row["output_tokens"]) > 0
            for row in csv.DictReader(io.StringIO(printed.output))
        )

    wait_until(is_counted, "the tokens of the answer")
