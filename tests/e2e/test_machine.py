"""The machine around the chat: open ports, secrets, and services that start again by themselves."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.e2e.deployment import Deployment, boot, wait_until

OPEN = [22, 80, 443]
# Files that users other than root could read a secret in; pseudo-files and programs left out.
READABLE_FILES = (
    "sudo find / -xdev -type f -perm -o=r -size -2M -not -path '/proc/*' -not -path '/sys/*'"
    " -not -path '/usr/*' -print0 | sudo xargs -0 grep -lF -f /dev/shm/patterns -- 2>/dev/null"
)


def test_of_the_ports_that_programs_listen_on_only_three_are_open(deployment: Deployment) -> None:
    sockets = deployment.ssh("ss --no-header --listening --tcp --numeric").output.splitlines()
    listening = {int(line.split()[3].rpartition(":")[2]) for line in sockets}
    assert listening > {*OPEN, 11434}
    assert [port for port in sorted(listening) if deployment.connects(port)] == OPEN


@pytest.mark.long
def test_exactly_ssh_http_and_https_are_open(deployment: Deployment) -> None:
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(deployment.connects, range(1, 65536, 1)))
    assert [port for port, is_open in enumerate(answers, 1) if is_open] == OPEN


def test_only_listed_clients_reach_ssh(deployment: Deployment) -> None:
    assert deployment.connects(22, source="127.0.0.1")
    assert not deployment.connects(22, source="127.0.0.9")
    assert deployment.connects(443, source="127.0.0.9")


def test_the_machines_own_firewall_admits_allowed_clients_only(deployment: Deployment) -> None:
    """Podman's translation of the port keeps the address of the client."""
    clients = "inet ollamazure allowed_clients"
    only = f"sudo nft flush set {clients} && sudo nft add element {clients} '{{ 198.51.100.1 }}'"
    deployment.ssh(only)
    try:
        assert deployment.connects(443, source="127.0.0.1")
        assert not deployment.connects(443, source="127.0.0.9")
    finally:
        deployment.ssh("sudo systemctl restart ollamazure-firewall")  # as at each start
    assert deployment.connects(443, source="127.0.0.9")


@pytest.mark.long
def test_the_machines_own_firewall_limits_the_connections_of_an_address(
    deployment: Deployment,
) -> None:
    """With a limit of 3. The real numbers, for users: tests/unit/guest/test_firewall.py."""
    fewer = "sed 's/ct count over 2000/ct count over 3/' /etc/ollamazure/firewall.nft"
    deployment.ssh(f"{fewer} | sudo nft --file -")
    try:
        with ExitStack() as held:
            for _ in range(3):
                connection = socket.create_connection(
                    (deployment.address, 443), timeout=20, source_address=("127.0.0.9", 0)
                )
                held.enter_context(connection)
            assert not deployment.connects(443, source="127.0.0.9")
            assert deployment.connects(443, source="127.0.0.10")
        wait_until(lambda: deployment.connects(443, source="127.0.0.9"), "the limit ends")
    finally:
        deployment.ssh("sudo systemctl restart ollamazure-firewall")  # as at each start


def test_ollama_answers_open_webui_root_and_itself_and_no_one_else(deployment: Deployment) -> None:
    probe = "curl -sS --max-time 5 http://127.0.0.1:11434/api/version"
    assert "version" in deployment.ssh(f"sudo {probe}").output
    assert deployment.ssh(probe, check=False).code != 0
    assert deployment.ssh(f"sudo -u daemon {probe}", check=False).code != 0
    private = deployment.ssh("hostname -I").output.split()[0]
    elsewhere = f"curl -sS --max-time 5 http://{private}:11434/api/version"
    assert deployment.ssh(elsewhere, check=False).code != 0
    assert (
        deployment.ssh(
            "sudo podman exec open-webui curl -sS --max-time 5"
            " http://host.containers.internal:11434/api/version"
        ).code
        == 0
    )


def secrets_of(deployment: Deployment) -> list[str]:
    """Every secret: those of the outputs, and those that only the machine has."""
    key = deployment.outputs["sshPrivateKey"].splitlines()[1]
    webui_key = deployment.ssh(
        "sudo podman exec open-webui printenv WEBUI_SECRET_KEY"
    ).output.strip()
    pem = deployment.ssh("sudo cat /etc/nginx/cert/server.pem").output
    certificate_key = pem.partition("PRIVATE KEY-----")[2].split()[0]
    host_key = deployment.ssh("sudo cat /etc/ssh/ssh_host_ed25519_key").output.splitlines()[1]
    found = [deployment.outputs["adminPassword"], key, webui_key, certificate_key, host_key]
    assert all(len(secret) >= 12 for secret in found)
    return found


def test_no_secret_is_written_in_plain(deployment: Deployment) -> None:
    secrets = secrets_of(deployment)
    logs = deployment.log.read_text().split("$ pulumi stack output --json --show-secrets")[0]
    assert not [secret for secret in secrets if secret in logs]
    not_written_in_plain(deployment, secrets)


def not_written_in_plain(deployment: Deployment, secrets: list[str]) -> None:
    """Neither in a preview nor in the state."""
    preview = deployment.pulumi("preview", "--diff").output
    state = [
        path for path in deployment.home.rglob("*") if path.is_file() and "backend" in str(path)
    ]
    assert state
    for secret in secrets:
        assert secret not in preview
        for path in state:
            assert secret.encode() not in path.read_bytes(), path


def test_no_secret_is_readable_on_the_machine(deployment: Deployment) -> None:
    not_readable_on_the_machine(deployment, secrets_of(deployment))


def not_readable_on_the_machine(deployment: Deployment, secrets: list[str]) -> None:
    """Neither in a file that others than root read, nor in a command line or the journal."""
    deployment.ssh("umask 077; cat >/dev/shm/patterns", stdin="\n".join(secrets) + "\n")
    try:
        files = deployment.ssh(READABLE_FILES, check=False).output
    finally:
        deployment.ssh("rm /dev/shm/patterns")
    assert files.strip() == ""
    processes = deployment.ssh("ps -eo args; sudo journalctl --no-pager -b").output
    for secret in secrets:
        assert secret not in processes


@pytest.mark.long
@pytest.mark.parametrize("unit", ["open-webui", "nginx", "ollama"])
def test_each_service_comes_back_after_a_restart(deployment: Deployment, unit: str) -> None:
    assert deployment.token
    deployment.ssh(f"sudo systemctl restart {unit}")
    wait_until(lambda: bool(deployment.ask("Hello?")), f"an answer after restarting {unit}")


@pytest.mark.long
@pytest.mark.parametrize("name", ["open-webui", "nginx"])
def test_a_container_is_found_where_it_was_before_its_restart(
    deployment: Deployment, name: str
) -> None:
    """Its neighbours remember the MAC address of its IP address."""
    networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.MacAddress}}{{end}}"
    inspect = f"sudo podman inspect --format '{networks}' {name}"
    before = deployment.ssh(inspect).output
    deployment.ssh(f"sudo systemctl restart {name}")
    assert deployment.ssh(inspect).output == before


@pytest.mark.long
def test_a_container_of_an_earlier_version_leaves_the_address_of_the_other(
    deployment: Deployment,
) -> None:
    """There, addresses were not fixed: here Nginx has the one of Open WebUI."""
    deployment.ssh(
        "sudo systemctl stop nginx open-webui && sudo podman run --detach --quiet --name nginx"
        " --network mynet --ip 10.89.0.11 --entrypoint sleep"
        " $(sed -n s/^Image=//p /etc/containers/systemd/nginx.container) infinity"
    )
    deployment.ssh("sudo /usr/local/lib/ollamazure/machine-ready")
    deployment.ssh("sudo systemctl start open-webui")
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer of both containers")


def test_everything_comes_back_after_the_machine_restarts(deployment: Deployment) -> None:
    assert deployment.token
    before = boot(deployment)
    deployment.ssh("sudo systemctl reboot", check=False)
    wait_until(lambda: boot(deployment) != before, "SSH after a restart of the machine")
    loaded = "sudo curl --silent --fail http://127.0.0.1:11434/api/ps"
    wait_until(
        lambda: "smollm2:135m" in deployment.ssh(loaded).output, "a model, before a question"
    )
    wait_until(lambda: bool(deployment.ask("Hello?")), "an answer after a restart", patience=300)


def test_first_boot_has_no_error(deployment: Deployment) -> None:
    assert "status: done" in deployment.ssh("cloud-init status --long").output
    failed = deployment.ssh("systemctl --failed --plain --no-legend").output
    assert failed.strip() == ""


def test_each_command_is_in_the_package_that_the_table_names(deployment: Deployment) -> None:
    """What tests/unit/guest/test_commands.py relies on."""
    table = Path(__file__).parents[1] / "unit" / "guest" / "packages_of_commands.yaml"
    packages: dict[str, str] = yaml.safe_load(table.read_text())["commands"]
    asked = "PATH=$PATH:/usr/libexec/podman\n" + "".join(
        f"p=$(command -v {name}); dpkg-query -S $p 2>/dev/null || dpkg-query -S $(readlink -f $p)\n"
        for name in packages
    )
    owners = deployment.ssh("sudo bash", stdin=asked).output.splitlines()
    assert [line.partition(":")[0] for line in owners] == list(packages.values())


def test_name_of_the_machine_and_its_user_come_from_azure(deployment: Deployment) -> None:
    assert deployment.ssh("hostname").output.strip() == "chat"
