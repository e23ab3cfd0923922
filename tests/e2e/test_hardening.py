"""The machine gives nothing away: what listens, who reaches what, and what each service may do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.deployment import PROJECT, Deployment, wait_until
from tests.e2e.test_operations import run

PAGE = PROJECT / "docs" / "reference" / "machine.md"
CONTAINERS = ["open-webui", "nginx"]
# The highest exposure that `systemd-analyze security` may find, in tenths.
EXPOSURE = 30
OUR_SERVICES = ["ollama.service", "ollamazure-container-dns.service", "ollamazure-backup.service"]
NODE_EXPORTER = "ollamazure-node-exporter.service"
OUR_SERVICES += ["ollamazure-restart.service"]
# Each place that has something of the first boot, or from which it can be read.
FIRST_BOOT_FILES = (
    "/var/lib/waagent /var/lib/cloud/seed /var/lib/cloud/instance/user-data.txt"
    " /var/lib/cloud/instance/user-data.txt.i /var/lib/cloud/instance/vendor-data.txt"
    " /var/lib/cloud/instance/cloud-config.txt /var/lib/cloud/instance/obj.pkl"
    " /var/lib/cloud/instance/scripts/runcmd /run/cloud-init/instance-data-sensitive.json"
)
CONNECT = """
import json, socket, sys
def reaches(address, port):
    try:
        socket.create_connection((address, port), 5).close()
        return True
    except OSError:
        return False
print(json.dumps([reaches(*place) for place in json.loads(sys.argv[1])]))
"""
METADATA, WIRE_SERVER = "169.254.169.254", "168.63.129.16"
# As in guest/etc/containers/systemd/open-webui.container.
WEBUI = ("10.89.0.11", 8080)
AZURE = [(METADATA, 80), (WIRE_SERVER, 80), (WIRE_SERVER, 32526)]


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the page about the machine, without code marks."""
    section = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines
    ]


@pytest.fixture
def user(deployment: Deployment) -> Iterator[str]:
    """An ordinary user of the machine."""
    name = "passer-by"
    deployment.ssh(f"sudo useradd --create-home {name}")
    yield name
    deployment.ssh(f"sudo userdel --remove {name}")


def reached(deployment: Deployment, program: str, places: list[tuple[str, int]]) -> list[bool]:
    """Which of the places can be connected to; `program` runs Python with the arguments given."""
    script = f"{program} -c \"$(cat)\" '{json.dumps(places)}'"
    answers: list[bool] = json.loads(deployment.ssh(script, stdin=CONNECT).output)
    return answers


def gateway(deployment: Deployment) -> str:
    route = json.loads(deployment.ssh("ip -json route show default").output)
    return str(route[0]["gateway"])


def private_address(deployment: Deployment) -> str:
    return deployment.ssh("hostname -I").output.split()[0]


def test_only_what_the_page_lists_listens(deployment: Deployment) -> None:
    assert deployment.ask("Hello?"), "a model is loaded"
    listed = {(protocol, port, program) for protocol, port, _, program, *_ in table("What listens")}
    assert {(protocol, port, name) for protocol, port, _, name in listening(deployment)} == listed


def listening(deployment: Deployment) -> set[tuple[str, str, str, str]]:
    """Protocol, port, address and program of all that listens."""
    sockets = deployment.ssh("sudo ss --no-header --tcp --udp --listening --numeric --processes")
    found = set()
    for line in sockets.output.splitlines():
        protocol, local = line.split()[0], line.split()[4]
        program = re.search(r'users:\(\("([^"]+)"', line)
        name, (address, _, port) = program[1] if program else "?", local.rpartition(":")
        if name == "llama-server" and address == "127.0.0.1":
            port = "random"
        found.add((protocol, port, address, name))
    return found


@pytest.mark.long
def test_metrics_are_where_the_page_lists_them_and_go_with_the_setting(
    deployment: Deployment,
) -> None:
    before = listening(deployment)
    try:
        deployment.up(**{"metricsClients[0]": "10.0.0.5/32"})
        [(protocol, port, address, program, _)] = table("What listens with metrics")
        more = {each for each in listening(deployment) - before if each[3] != "llama-server"}
        assert more == {(protocol, port, address, program)}
        url = f"http://{address}:{port}/metrics"
        assert "node_memory_MemTotal_bytes" in deployment.ssh(f"curl --silent --fail {url}").output
        deployment.ssh(
            f"systemd-analyze security --no-pager --threshold={EXPOSURE} {NODE_EXPORTER}"
        )
        rules = deployment.ssh("sudo nft list set inet ollamazure metrics_clients").output
        assert "elements = { 10.0.0.5 }" in rules
        assert run(deployment, "drift").code == 0
    finally:
        deployment.pulumi("config", "rm", "ollamazure:metricsClients")
        deployment.up()
    assert ("tcp", port) not in {(each[0], each[1]) for each in listening(deployment)}
    assert deployment.ssh("command -v prometheus-node-exporter", check=False).code != 0
    assert run(deployment, "drift").code == 0


def test_sshs_algorithms_have_no_finding(deployment: Deployment) -> None:
    # Without the test that opens hundreds of connections: sshd would refuse us for a while.
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ssh_audit.ssh_audit",
            "--skip-rate-test",
            "--json",
            deployment.address,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    findings = [
        (kind, one["algorithm"], level, notes)
        for kind in ("kex", "key", "enc", "mac")
        for one in report[kind]
        for level, notes in one["notes"].items()
        if level in ("fail", "warn")
    ]
    assert findings == []
    assert done.returncode == 0, done.stdout
    assert all(report[kind] for kind in ("kex", "key", "enc", "mac"))


def test_ssh_is_for_the_operators_key_only(deployment: Deployment) -> None:
    user = deployment.ssh("id --user --name").output.strip()
    settings = deployment.ssh("sudo sshd -T").output.splitlines()
    assert {
        "authenticationmethods publickey",
        "passwordauthentication no",
        "permitrootlogin no",
        "maxauthtries 3",
        "logingracetime 30",
        "disableforwarding yes",
        f"allowusers {user}",
    } <= set(settings)


def test_downloads_reach_the_mirror_that_the_settings_name(
    deployment: Deployment, user: str
) -> None:
    """And no one else does; what else is closed: tests/unit/guest/test_firewall.py."""
    mirror = [(gateway(deployment), 8480)]
    for who, expected in (("root", True), ("ollama", True), (user, False), ("_apt", False)):
        assert reached(deployment, f"sudo -u {who} python3", mirror) == [expected], who


def test_packages_are_updated_behind_the_firewall(deployment: Deployment) -> None:
    """`unattended-upgrade` also updates the lists with apt's own user."""
    deployment.ssh("sudo apt-get --quiet --error-on=any update")
    deployment.ssh("sudo apt-get --quiet --yes --download-only install --reinstall tzdata")
    done = deployment.ssh("sudo unattended-upgrade --dry-run --debug")
    assert "error" not in done.output.lower()


def test_an_ordinary_user_learns_nothing(deployment: Deployment, user: str) -> None:
    """Neither from the first boot's files nor from Azure, Ollama and the containers."""
    readable = deployment.ssh(
        f"sudo -u {user} find {FIRST_BOOT_FILES} -maxdepth 2 -type f -readable 2>/dev/null",
        check=False,
    )
    assert readable.output.split() == []
    exists = deployment.ssh(f"sudo find {FIRST_BOOT_FILES} -maxdepth 2 -type f 2>/dev/null || true")
    assert "user-data" in exists.output
    closed = [*AZURE, ("127.0.0.1", 11434), (private_address(deployment), 11434), WEBUI]
    assert not any(reached(deployment, f"sudo -u {user} python3", closed))
    assert reached(deployment, "sudo python3", [WEBUI]) == [True]


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_learns_nothing(deployment: Deployment, container: str) -> None:
    address = private_address(deployment)
    closed = [*AZURE, (METADATA, 443), (address, 22), ("10.89.0.1", 22), (address, 11434)]
    closed += [(gateway(deployment), 8480), (gateway(deployment), 443)]
    if container == "open-webui":
        closed.append(("10.89.0.1", 11434))
    # The machine's Python in the container's network, because Nginx's image has none.
    pid = deployment.ssh(f"sudo podman inspect {container} --format '{{{{.State.Pid}}}}'").output
    python = f"sudo nsenter --net --target {pid.strip()} python3"
    assert not any(reached(deployment, python, closed))
    ollama = reached(deployment, python, [("10.89.0.1", 11434), ("10.89.0.10", 11434)])
    assert ollama == [container == "nginx", True]
    for place in ("/var/lib/cloud", "/var/lib/waagent", "/srv/data", "/etc/ollamazure/installed"):
        assert deployment.ssh(f"sudo podman exec {container} ls {place}", check=False).code != 0


def test_no_container_manages_models(deployment: Deployment) -> None:
    """But Open WebUI gets what answers need. tests/unit/guest/test_nginx.py has all requests."""
    command = "curl --silent --show-error --max-time 30 --write-out ' %{http_code}'"
    ask = f"sudo podman exec open-webui {command}"
    ollama = "http://host.containers.internal:11434/api"
    assert deployment.ssh(f"{ask} {ollama}/version").output.endswith(" 200")
    for request in ("-X DELETE {}/delete", "-d '{{}}' {}/pull", "-d '{{}}' {}/create"):
        answer = deployment.ssh(f"{ask} {request.format(ollama)}").output
        assert answer.endswith(" 403") and "features.modelManagement" in answer, answer
    elsewhere = deployment.ssh(f"sudo {command} http://10.89.0.10:11434/api/version")
    assert elsewhere.output.endswith(" 403")


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_container_is_as_the_page_lists(deployment: Deployment, container: str) -> None:
    (inspected,) = json.loads(deployment.ssh(f"sudo podman inspect {container}").output)
    host = inspected["HostConfig"]
    unit = deployment.ssh(
        f"systemctl show --property=MemoryMax,TasksMax,TasksCurrent {container}.service"
    ).output
    limits = dict(line.split("=") for line in unit.splitlines())
    users = deployment.ssh(f"sudo podman exec {container} cat /proc/1/uid_map").output.split()
    rows = {what: cells for what, *cells in table("What the containers may do")}
    column = CONTAINERS.index(container)
    listed = {what: cells[column] for what, cells in rows.items()}
    kept = sorted(name.removeprefix("CAP_") for name in inspected["EffectiveCaps"] or [])
    assert listed["Capabilities"] == (" ".join(kept) or "none")
    assert listed["No new privileges"] == _yes("no-new-privileges" in host["SecurityOpt"])
    assert listed["Read-only root"] == _yes(host["ReadonlyRootfs"])
    assert listed["Its root is the machine's user"] == users[1]
    assert listed["Processes at most"] == limits["TasksMax"]
    if container == "nginx":
        assert listed["Memory at most"] == f"{int(limits['MemoryMax']) // 2**20} MiB"
    assert int(limits["MemoryMax"]) >= 512 * 2**20


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


@pytest.mark.parametrize("unit", OUR_SERVICES)
def test_services_are_confined(deployment: Deployment, unit: str) -> None:
    deployment.ssh(f"systemd-analyze security --no-pager --threshold={EXPOSURE} {unit}")


def _wait_for_page(deployment: Deployment) -> None:
    def is_up() -> bool:
        with deployment.client(deployment.token) as client:
            return client.get("/api/v1/auths/").status_code == 200

    wait_until(is_up, "Open WebUI")


@pytest.mark.long
def test_chats_survive_other_owners_in_the_container(deployment: Deployment) -> None:
    """A stack of an earlier version ran Open WebUI as the machine's root, and may do so again."""
    unit = "/etc/containers/systemd/open-webui.container"
    deployment.ssh(f"sudo cp {unit} /root/open-webui.container")
    chat = {"title": "before", "messages": [], "history": {"messages": {}, "currentId": None}}
    try:
        deployment.ssh(
            "sudo sed -i '/^[UG]IDMap=/d; /^ReadOnly=/d; /^DropCapability=/d; s/:idmap//'"
            f" {unit}"
            " && sudo systemctl daemon-reload && sudo systemctl restart open-webui"
        )
        _wait_for_page(deployment)
        with deployment.client(deployment.token) as client:
            made = client.post("/api/v1/chats/new", json={"chat": chat})
            assert made.status_code == 200, made.text
            id_ = made.json()["id"]
    finally:
        deployment.ssh(
            f"sudo cp /root/open-webui.container {unit}"
            " && sudo systemctl daemon-reload && sudo systemctl restart open-webui"
        )
    _wait_for_page(deployment)
    with deployment.client(deployment.token) as client:
        assert client.get(f"/api/v1/chats/{id_}").json()["title"] == "before"
        assert client.delete(f"/api/v1/chats/{id_}").status_code == 200
    owners = deployment.ssh(
        "sudo find /srv/data/containers/volumes/open-webui/_data -not -user root | head"
    )
    assert owners.output == ""
