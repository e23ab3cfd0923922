"""Processes that are killed, and parts of the machine that are removed by hand, come back."""

from __future__ import annotations

import re

import pytest

from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.kept import Kept
from tests.e2e.test_drift import by_resource, drift
from tests.e2e.test_operations import run
from tests.tiers import first_of

OF_UNIT = "systemctl show --property=MainPID --value {}"
OF_CONTAINER = "sudo podman inspect --format '{{{{.State.{}}}}}' {}"
WORKERS = f"pgrep --parent $({OF_CONTAINER.format('Pid', 'nginx')}) | head -1"
# What prints the process; one that is killed is replaced by another.
PROCESSES = {
    "conmon of Nginx": OF_CONTAINER.format("ConmonPid", "nginx"),
    "a worker of Nginx": WORKERS,
    "Nginx": OF_CONTAINER.format("Pid", "nginx"),
    "conmon of Open WebUI": OF_CONTAINER.format("ConmonPid", "open-webui"),
    "Open WebUI": OF_CONTAINER.format("Pid", "open-webui"),
    "Ollama": OF_UNIT.format("ollama"),
    "SSH": OF_UNIT.format("ssh"),
    "the service for the containers' DNS": OF_UNIT.format("ollamazure-container-dns"),
    "aardvark-dns": "pgrep --exact aardvark-dns",
    "systemd's journal": OF_UNIT.format("systemd-journald"),
}


@pytest.mark.parametrize("name", first_of(PROCESSES))
def test_a_killed_process_comes_back_by_itself(deployment: Deployment, name: str) -> None:
    kept = Kept.by(deployment)
    before, process = kept.of(deployment), PROCESSES[name]
    killed = deployment.ssh(process).output.strip()
    assert killed not in ("", "0")
    deployment.ssh(f"sudo kill -KILL {killed}", check=False)

    def is_another() -> bool:
        return deployment.ssh(process).output.strip() not in (killed, "", "0")

    wait_until(is_another, f"another {name}")
    wait_until(lambda: kept.of(deployment) == before, "the chat")
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer")
    wait_until(lambda: run(deployment, "status").code == 0, "a healthy machine")
    assert drift(deployment).code == 0


@pytest.mark.long
@pytest.mark.parametrize("service", ["backup", "cleanup"])
def test_a_nightly_task_that_is_killed_runs_again(deployment: Deployment, service: str) -> None:
    unit = f"ollamazure-{service}.service"
    main = OF_UNIT.format(unit)
    deployment.ssh(f"sudo systemctl start --no-block {unit}")
    wait_until(lambda: deployment.ssh(main).output.strip() != "0", f"{unit} runs")
    deployment.ssh(f"sudo systemctl kill --signal=KILL {unit}")
    wait_until(lambda: deployment.ssh(main).output.strip() == "0", f"{unit} has ended")
    assert "failed" in deployment.ssh(f"systemctl is-failed {unit}", check=False).output
    deployment.ssh(f"sudo systemctl start {unit}")
    assert run(deployment, "status").code == 0


# What is removed, and what `drift` names; nothing for what comes back by itself.
REMOVED = {
    "the container of Nginx": ("podman rm --force --time 0 nginx", {}),
    "the container of Open WebUI": ("podman rm --force --time 0 open-webui", {}),
    "the network": ("podman network rm --force mynet", {"machine-ready": "the network mynet .*"}),
    "the network, whose interfaces stay": (
        "sh -c 'podman network rm --force mynet; for name in podman8 podman9;"
        " do ip link add name $name type bridge; ip address add 10.89.0.1/24 dev $name; done'",
        {"machine-ready": "the network mynet .*"},
    ),
    "the image of Nginx": (
        "sh -c 'podman rmi --force $(sed -n s/^Image=//p /etc/containers/systemd/nginx.container)'",
        {"nginx": r"the image \S+/nginx:\S+ is missing"},
    ),
    "the firewall's table": (
        "nft delete table inet ollamazure",
        {"machine-ready": "the firewall is not loaded"},
    ),
    "the mount of the data disk": (
        "umount --lazy /srv/data",
        {"machine-ready": "/srv/data is not mounted"},
    ),
    "Podman": (
        "apt-get remove --quiet --yes podman",
        {"machine-ready": "the program podman is missing"},
    ),
    "aardvark-dns": (
        "apt-get remove --quiet --yes aardvark-dns",
        {"machine-ready": "the program /usr/lib/podman/aardvark-dns is missing"},
    ),
    "curl and zstd": (
        "apt-get remove --quiet --yes curl zstd",
        {"machine-ready": "the program curl is missing"},
    ),
    "restic": ("apt-get remove --quiet --yes restic", {"backup": "the program restic is missing"}),
}


@pytest.mark.parametrize("name", first_of(REMOVED))
def test_what_is_removed_by_hand_comes_back(deployment: Deployment, name: str) -> None:
    """By itself, or `drift` names it and the next `pulumi up` brings it back."""
    kept = Kept.by(deployment)
    before, (command, named) = kept.of(deployment), REMOVED[name]
    deployment.ssh(f"sudo {command}")
    if named:
        changed = drift(deployment)
        assert changed.code == 1, changed.output
        found = by_resource(changed.output)
        for resource, pattern in named.items():
            lines = found.get(resource, [])
            assert any(re.fullmatch(pattern, line) for line in lines), changed.output
        advised = re.search(r"config set ollamazure:reapply (\S+)", changed.output)
        assert advised
        deployment.up(reapply=advised[1])
    wait_until(lambda: kept.of(deployment) == before, "the chat")
    assert deployment.ask("Hello?")
    wait_until(lambda: drift(deployment).code == 0, "no drift")


@pytest.mark.long
def test_packages_that_are_upgraded_by_hand_change_nothing(deployment: Deployment) -> None:
    """Installed again, with their own scripts: Debian's mirror has no later version here."""
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    packages = "podman aardvark-dns netavark crun conmon nftables openssh-server restic"
    deployment.ssh("sudo apt-get --quiet update")
    deployment.ssh(
        f"sudo DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes install --reinstall {packages}"
    )
    wait_until(lambda: kept.of(deployment) == before, "the chat")
    assert drift(deployment).code == 0
    deployment.pulumi("preview", "--expect-no-changes")
