"""The machine's firewall, with packets: who reaches what, in network namespaces of the test's own.

outside   the gateway, the internet, Azure's services, each port open; two clients of the chat
machine   with the firewall, and mynet with the two containers
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.remote_command import GUEST, proxy_values, render_file
from ollamazure.settings.proxy import ProxySettings
from ollamazure.settings.stack import Settings

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and nft take root")

FIREWALL, OUTBOUND = "/etc/ollamazure/firewall.nft", "/etc/ollamazure/firewall.d/outbound.nft"
ALLOWED_CLIENTS = "/etc/ollamazure/firewall.d/allowed-clients.nft"
GATEWAY, MACHINE, BRIDGE = "10.0.0.1", "10.0.0.4", "10.89.0.1"
INTERNET, METADATA, WIRE_SERVER = "192.0.2.1", "169.254.169.254", "168.63.129.16"
NGINX, WEBUI = "10.89.0.10", "10.89.0.11"
CLIENT, OTHER_CLIENT = "10.0.0.7", "10.0.0.8"
ROOT, USER, OLLAMA, APT = 0, 1000, 11434, pwd.getpwnam("_apt").pw_uid

NETWORK = f"""
ip link add eth0 netns $prefix-machine type veth peer name eth0 netns $prefix-outside
ip -n $prefix-outside address add {GATEWAY}/24 dev eth0
for address in {CLIENT} {OTHER_CLIENT}; do
    ip -n $prefix-outside address add $address/24 dev eth0
done
for address in {INTERNET} {METADATA} {WIRE_SERVER}; do
    ip -n $prefix-outside address add $address/32 dev lo
done
ip -n $prefix-machine address add {MACHINE}/24 dev eth0
ip -n $prefix-machine link add podman1 type bridge
ip -n $prefix-machine address add {BRIDGE}/24 dev podman1
for pair in nginx:{NGINX} open-webui:{WEBUI}; do
    name=${{pair%%:*}}
    ip link add eth0 netns $prefix-$name type veth peer name $name netns $prefix-machine
    ip -n $prefix-machine link set $name master podman1 up
    ip -n $prefix-$name address add ${{pair##*:}}/24 dev eth0
    ip -n $prefix-$name link set eth0 up
    ip -n $prefix-$name route add default via {BRIDGE}
done
ip -n $prefix-machine link set podman1 up
ip -n $prefix-machine link set eth0 up
ip -n $prefix-outside link set eth0 up
ip -n $prefix-machine route add default via {GATEWAY}
ip -n $prefix-outside route add 10.89.0.0/24 via {MACHINE}
ip netns exec $prefix-machine sysctl --quiet --write net.ipv4.ip_forward=1
# As on the machine: the firewall sees what containers send each other.
ip netns exec $prefix-machine sysctl --quiet --write net.bridge.bridge-nf-call-iptables=1 || true
# As Podman publishes the ports of Nginx.
ip netns exec $prefix-machine nft '
    table ip podman {{
        chain publish {{
            type nat hook prerouting priority dstnat
            iifname "eth0" tcp dport {{ 80, 443 }} dnat to {NGINX}
        }}
    }}'
# Never answers.
ip netns exec $prefix-nginx nft '
    table ip silent {{
        chain input {{
            type filter hook input priority filter
            tcp dport 80 drop
        }}
    }}'
"""
LISTEN = """
import socket, sys, time
kept = [socket.create_server(("", int(port)), backlog=1000) for port in sys.argv[1:]]
print("listening", flush=True)
time.sleep(600)
"""
CONNECT = """
import json, os, socket, sys
user, *places = json.load(sys.stdin)
os.setgroups([]); os.setgid(user); os.setuid(user)
def reaches(address, port):
    try:
        socket.create_connection((address, port), 2).close()
        return True
    except OSError:
        return False
print(json.dumps([reaches(*place) for place in places]))
"""
# Opens connections from one address, in order, and holds them until its input ends.
OPEN = f"""
import json, select, socket, struct, sys
source, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def begin():
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.bind((source, 0))
    wire.setblocking(False)
    wire.connect_ex(("{MACHINE}", port))
    return wire
def result(wire):
    if not select.select([], [wire], [], 0.5)[1]:
        return "no answer"
    return "refused" if wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else "open"
wires = [begin() for _ in range(count)]
print(json.dumps([result(wire) for wire in wires]), flush=True)
sys.stdin.read()
"""
# Accepts a connection, and sends once its input has a line.
SEND_LATER = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
server.settimeout(10)
print("listening", flush=True)
wire, _ = server.accept()
print("accepted", flush=True)
sys.stdin.readline()
wire.sendall(b"more output")
wire.close()
"""
RECEIVE = f"""
import socket, sys
with socket.create_connection(("{MACHINE}", int(sys.argv[1])), 10) as wire:
    print(wire.recv(100).decode())
"""


class Namespaces:
    """The namespaces, whose names on this host have a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.names = {n: f"{prefix}-{n}" for n in ("outside", "machine", "nginx", "open-webui")}

    def make(self) -> None:
        for full in self.names.values():
            subprocess.run(["ip", "netns", "add", full], check=True)
            subprocess.run(["ip", "-n", full, "link", "set", "lo", "up"], check=True)
        script = f"prefix={self.prefix}\n{NETWORK}"
        subprocess.run(["bash", "-euc", script], check=True)

    def command(self, name: str, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.names[name], *words]

    def reached(self, name: str, user: int, *places: tuple[str, int]) -> list[bool]:
        """Which of the places a program of the user in a namespace can connect to."""
        done = subprocess.run(
            self.command(name, "/usr/bin/python3", "-c", CONNECT),
            input=json.dumps([user, *places]),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        answers: list[bool] = json.loads(done.stdout)
        return answers

    @contextmanager
    def running(self, name: str, program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A program in a namespace, which ends with the block."""
        process = subprocess.Popen(
            self.command(name, "/usr/bin/python3", "-c", program, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @contextmanager
    def opened(self, source: str, count: int, port: int = 443) -> Iterator[list[str]]:
        """What becomes of connections that a client opens to the machine, and holds meanwhile."""
        with self.running("outside", OPEN, source, str(port), str(count)) as client:
            assert client.stdout
            yield json.loads(client.stdout.readline())
            client.communicate()


@pytest.fixture(scope="module")
def network() -> Iterator[Namespaces]:
    spaces = Namespaces(f"fw{os.getpid()}")
    listening: list[subprocess.Popen[str]] = []
    try:
        spaces.make()
        for name, ports in (
            ("outside", "22 53 80 443 5556 8080 8444 8480 32526"),
            ("machine", "22 53 443 9100 11434"),
            ("nginx", "80 443 11434"),
            ("open-webui", "8080"),
        ):
            server = subprocess.Popen(
                spaces.command(name, "/usr/bin/python3", "-c", LISTEN, *ports.split()),
                stdout=subprocess.PIPE,
                text=True,
            )
            listening.append(server)
            assert server.stdout
            assert server.stdout.readline() == "listening\n"
        yield spaces
    finally:
        for server in listening:
            server.kill()
            server.wait()
        for full in spaces.names.values():
            subprocess.run(["ip", "netns", "delete", full], check=False)


def load(
    network: Namespaces,
    folder: Path,
    *,
    instead: Mapping[str, str] | None = None,
    metrics_clients: Sequence[str] = (),
    proxy: ProxySettings | None = None,
    open_webui: bool = False,
    **outbound_ports: list[int],
) -> None:
    """Load the firewall, with what settings name; `instead` replaces parts, such as a limit."""
    ports = {**Settings(ssh_clients=("203.0.113.7/32",)).outbound_ports, **outbound_ports}
    included = folder / "firewall.d" / "outbound.nft"
    included.parent.mkdir(exist_ok=True)
    included.write_text(render_file(OUTBOUND, outbound_ports=ports, **proxied(proxy, open_webui)))
    everyone = render_file(ALLOWED_CLIENTS, clients=["0.0.0.0/0"], metrics_clients=metrics_clients)
    (included.parent / "allowed-clients.nft").write_text(everyone)
    rules = folder / "firewall.nft"
    text = render_file(FIREWALL).replace("/etc/ollamazure", str(folder))
    for there, here in (instead or {}).items():
        assert there in text, there
        text = text.replace(there, here)
    rules.write_text(text)
    # Twice, as a machine does: the second time replaces the first.
    load_it = f"nft --file {shlex.quote(str(rules))}"
    subprocess.run(network.command("machine", "sh", "-c", f"{load_it} && {load_it}"), check=True)


def test_without_settings_the_machine_reaches_https_dns_and_nothing_else(
    network: Namespaces, tmp_path: Path
) -> None:
    load(network, tmp_path)
    ports = [22, 53, 80, 443, 5556, 8080, 8480]
    places = [(INTERNET, port) for port in ports]
    for user in (ROOT, USER, OLLAMA):
        found = network.reached("machine", user, *places)
        assert [port for port, is_open in zip(ports, found, strict=True) if is_open] == [53, 443]
    assert network.reached("machine", APT, (INTERNET, 80), (INTERNET, 8080)) == [True, False]


def test_only_root_reaches_azures_services_and_the_containers(
    network: Namespaces, tmp_path: Path
) -> None:
    load(network, tmp_path)
    azure = [(METADATA, 80), (WIRE_SERVER, 80), (WIRE_SERVER, 32526), (WEBUI, 8080)]
    assert network.reached("machine", ROOT, *azure) == [True] * 4
    assert network.reached("machine", ROOT, (METADATA, 8080), (WIRE_SERVER, 22)) == [False] * 2
    for user in (USER, OLLAMA, APT):
        assert network.reached("machine", user, *azure, (METADATA, 443)) == [False] * 5
        assert network.reached("machine", user, (WIRE_SERVER, 53)) == [True]


def test_ollama_is_for_root_itself_and_nginx(network: Namespaces, tmp_path: Path) -> None:
    load(network, tmp_path)
    ollama = ("127.0.0.1", 11434)
    assert network.reached("machine", ROOT, ollama) == [True]
    assert network.reached("machine", OLLAMA, ollama) == [True]
    assert network.reached("machine", USER, ollama, (MACHINE, 11434)) == [False, False]
    assert network.reached("nginx", ROOT, (BRIDGE, 11434), (MACHINE, 11434)) == [True, False]
    assert network.reached("open-webui", ROOT, (BRIDGE, 11434), (MACHINE, 11434)) == [False, False]
    assert network.reached("outside", ROOT, (MACHINE, 11434)) == [False]


@pytest.mark.parametrize("host", ["10.89.0.1", "10.89.0.10"])
def test_an_open_webui_of_an_earlier_version_reaches_ollama_until_it_is_replaced(
    network: Namespaces, tmp_path: Path, host: str
) -> None:
    """A function of machine-ready adds the rule."""
    container = tmp_path / "open-webui.container"
    container.write_text(f"[Container]\nAddHost=host.containers.internal:{host}\n")
    (tmp_path / "firewall.d").mkdir()
    script = (GUEST / "usr/local/lib/ollamazure/machine-ready").read_text()
    function = script[script.index("former_open_webui() {") : script.index("\n# Applies the")]
    function = function.replace("/etc/containers/systemd", str(tmp_path))
    function = function.replace("/etc/ollamazure", str(tmp_path))
    subprocess.run(["bash", "-euc", f"{function}\nformer_open_webui"], check=True)
    load(network, tmp_path)
    assert network.reached("open-webui", ROOT, (BRIDGE, 11434), (BRIDGE, 22)) == [
        host == "10.89.0.1",
        False,
    ]


@pytest.mark.parametrize("container", ["open-webui", "nginx"])
def test_a_container_reaches_nothing_else(
    network: Namespaces, tmp_path: Path, container: str
) -> None:
    load(network, tmp_path)
    machine = [(address, 22) for address in (BRIDGE, MACHINE)]
    beyond = [(GATEWAY, 443), (INTERNET, 53), (INTERNET, 80), (INTERNET, 443), (METADATA, 80)]
    azure = [(METADATA, 443), (WIRE_SERVER, 53), (WIRE_SERVER, 80), (WIRE_SERVER, 32526)]
    found = network.reached(container, ROOT, *machine, *beyond, *azure)
    assert not any(found)
    assert network.reached(container, ROOT, (BRIDGE, 53)) == [True]


def test_nginx_reaches_open_webui_which_reaches_ollama_through_it(
    network: Namespaces, tmp_path: Path
) -> None:
    load(network, tmp_path)
    assert network.reached("nginx", ROOT, (WEBUI, 8080)) == [True]
    assert network.reached("open-webui", ROOT, (NGINX, 11434)) == [True]


def test_settings_open_ports(network: Namespaces, tmp_path: Path) -> None:
    """And only for whom they are meant: mirrors for downloads, the others for Open WebUI."""
    load(network, tmp_path, mirror_ports=[8480])
    mirror = [(GATEWAY, 8480), (INTERNET, 8480)]
    assert network.reached("machine", ROOT, *mirror) == [True, True]
    assert network.reached("machine", OLLAMA, *mirror) == [True, True]
    assert network.reached("machine", USER, *mirror) == [False, False]
    assert network.reached("open-webui", ROOT, *mirror) == [False, False]

    load(network, tmp_path, web_ports=[443])
    pages = [(INTERNET, 443), (INTERNET, 80), (GATEWAY, 443), (METADATA, 443)]
    assert network.reached("open-webui", ROOT, *pages) == [True, False, False, False]
    assert network.reached("nginx", ROOT, *pages) == [False] * 4

    load(network, tmp_path, sign_in_ports=[443, 5556])
    provider = [(GATEWAY, 5556), (GATEWAY, 443), (METADATA, 443)]
    assert network.reached("open-webui", ROOT, *provider) == [True, True, False]
    assert network.reached("nginx", ROOT, *provider) == [False] * 3
    assert network.reached("machine", ROOT, (GATEWAY, 5556)) == [False]

    load(network, tmp_path, webhook_ports=[8444])
    webhook = (INTERNET, 8444)
    assert network.reached("machine", ROOT, webhook) == [True]
    assert network.reached("machine", USER, webhook) == [False]
    assert network.reached("open-webui", ROOT, webhook) == [False]


def test_metrics_are_for_the_addresses_that_the_setting_names(
    network: Namespaces, tmp_path: Path
) -> None:
    load(network, tmp_path)
    with network.opened(CLIENT, 1, port=9100) as found:
        assert found == ["no answer"]
    load(network, tmp_path, metrics_clients=[f"{CLIENT}/32", "10.0.0.6/31"])
    with network.opened(CLIENT, 1, port=9100) as found:
        assert found == ["open"]
    with network.opened(OTHER_CLIENT, 1, port=9100) as found:
        assert found == ["no answer"]
    for container in ("nginx", "open-webui"):
        assert network.reached(container, ROOT, (MACHINE, 9100), (BRIDGE, 9100)) == [False, False]


def test_a_session_from_before_the_firewall_goes_on(network: Namespaces, tmp_path: Path) -> None:
    """The kernel did not follow its connection until then, and the client only reads."""
    port = "2222"
    before = f"""
        table inet ollamazure
        delete table inet ollamazure
        table ip unfollowed {{
            chain input {{ type filter hook prerouting priority raw; tcp dport {port} notrack; }}
            chain output {{ type filter hook output priority raw; tcp sport {port} notrack; }}
        }}"""
    subprocess.run(network.command("machine", "nft", before), check=True)
    with network.running("machine", SEND_LATER, port) as server:
        assert server.stdout and server.stdin
        assert server.stdout.readline() == "listening\n"
        with network.running("outside", RECEIVE, port) as client:
            assert server.stdout.readline() == "accepted\n"
            load(network, tmp_path, instead={"tcp sport 22 ": f"tcp sport {port} "})
            subprocess.run(
                network.command("machine", "nft", "delete table ip unfollowed"), check=True
            )
            server.stdin.write("\n")
            server.stdin.flush()
            assert client.stdout
            assert client.stdout.read() == "more output\n"


def proxied(proxy: ProxySettings | None, open_webui: bool) -> dict[str, Any]:
    return {**proxy_values(proxy or ProxySettings()), "open_webui": open_webui}


def test_with_a_proxy_nothing_else_is_reached(network: Namespaces, tmp_path: Path) -> None:
    """Except DNS and the services of Azure."""
    proxy = ProxySettings(url=f"http://{GATEWAY}:8080")
    load(network, tmp_path, proxy=proxy)
    places = [(GATEWAY, 8080), (GATEWAY, 443), (INTERNET, 443), (INTERNET, 80), (INTERNET, 8080)]
    for user in (ROOT, OLLAMA, APT):
        assert network.reached("machine", user, *places) == [True, False, False, False, False]
    azure = [(METADATA, 80), (WIRE_SERVER, 80), (INTERNET, 53), (WEBUI, 8080)]
    assert network.reached("machine", ROOT, *azure) == [True] * 4
    assert not any(network.reached("open-webui", ROOT, *places))

    load(network, tmp_path, proxy=proxy, open_webui=True)
    assert network.reached("open-webui", ROOT, *places) == [True, False, False, False, False]
    assert not any(network.reached("nginx", ROOT, *places))


def test_exceptions_from_a_proxy(network: Namespaces, tmp_path: Path) -> None:
    url = f"http://{GATEWAY}:8080"
    places = [(INTERNET, 443), (INTERNET, 80), (OTHER_CLIENT, 443), (INTERNET, 8080)]
    load(network, tmp_path, proxy=ProxySettings(url=url, exceptions=(f"{INTERNET}/31",)))
    assert network.reached("machine", ROOT, *places) == [True, True, False, False]
    # The addresses of a name are not known to the firewall, nor those of a proxy with a name.
    load(network, tmp_path, proxy=ProxySettings(url=url, exceptions=("a.example.com",)))
    assert network.reached("machine", ROOT, *places) == [True, False, True, False]
    load(network, tmp_path, proxy=ProxySettings(url="http://proxy.example.com:8080"))
    assert network.reached("machine", ROOT, *places) == [False, False, False, True]


def test_one_address_has_a_limit_of_open_connections(network: Namespaces, tmp_path: Path) -> None:
    load(network, tmp_path, instead={"ct count over 2000": "ct count over 3"})
    with network.opened(CLIENT, 5) as found:
        assert found == ["open"] * 3 + ["refused"] * 2
        with network.opened(OTHER_CLIENT, 3) as others:
            assert others == ["open"] * 3
    with network.opened(CLIENT, 3) as found:
        assert found == ["open"] * 3


@pytest.mark.long
def test_connections_that_are_half_open_count(network: Namespaces, tmp_path: Path) -> None:
    load(network, tmp_path, instead={"ct count over 2000": "ct count over 3"})
    with network.opened(CLIENT, 5, port=80) as found:
        assert found == ["no answer"] * 3 + ["refused"] * 2


def test_one_address_has_a_limit_of_new_connections(network: Namespaces, tmp_path: Path) -> None:
    load(network, tmp_path, instead={"100/second burst 2000": "1/hour burst 3"})
    with network.opened(CLIENT, 4) as found, network.opened(OTHER_CLIENT, 3) as others:
        assert found == ["open"] * 3 + ["no answer"]
        assert others == ["open"] * 3


def test_a_hundred_users_behind_one_address_meet_no_limit(
    network: Namespaces, tmp_path: Path
) -> None:
    """Each with five tabs: a WebSocket each, and one connection for their pages."""
    load(network, tmp_path)
    with network.opened(CLIENT, 600) as found:
        assert found == ["open"] * 600
