"""Virtual networks by themselves: two interfaces, programs instead of machines."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emulator.host import teardown
from emulator.host.commands import run, succeeds, wait_until
from emulator.host.desired import DesiredInterface, DesiredNetwork
from emulator.host.network import EGRESS_NAME_SERVER, Networks
from emulator.host.nsg import AZURE_HOST, DEFAULT_RULES, NO_GROUP, NsgRule
from emulator.host.places import Numbers, Places
from emulator.host.processes import Processes
from emulator.instance import Instance

SERVER = """\
import socket, sys
server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    connection, (client, _) = server.accept()
    connection.sendall(client.encode())
    connection.close()
"""
CLIENT = """\
import socket, sys
target, port, source, seconds = sys.argv[1:]
with socket.create_connection((target, int(port)), int(seconds), (source, 0)) as connection:
    print(connection.recv(64).decode())
"""


@dataclass
class Bench:
    """One virtual network with the interfaces `web` (public) and `other`."""

    instance: Instance
    networks: Networks
    web: DesiredInterface
    other: DesiredInterface

    @property
    def public(self) -> str:
        return self.instance.public_address(0)

    def apply(
        self, *, web: tuple[NsgRule, ...] = NO_GROUP, other: tuple[NsgRule, ...] = NO_GROUP
    ) -> None:
        """Guard the interfaces with these rules."""
        interfaces = (replace(self.web, guards=(web,)), replace(self.other, guards=(other,)))
        prefixes = ("10.0.0.0/24", "10.0.1.0/24")
        self.networks.reconcile(
            [DesiredNetwork("vnet", prefixes, ("10.0.0.1", "10.0.1.1"), interfaces)]
        )

    def within(self, interface: DesiredInterface, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.networks.namespace_of(interface.id), *command]

    def seen_from(
        self, client: DesiredInterface, target: str, port: int, source: str = "", seconds: int = 20
    ) -> str | None:
        """The client's address as the server at target sees it; None without a connection."""
        arguments = (target, str(port), source, str(seconds))
        command = self.within(client, sys.executable, "-c", CLIENT, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def seen_from_host(self, port: int, source: str = "127.0.0.1") -> str | None:
        try:
            with socket.create_connection((self.public, port), 20, (source, 0)) as connection:
                return connection.recv(64).decode()
        except ConnectionRefusedError:
            return None

    @contextmanager
    def listening(self, interface: DesiredInterface, port: int) -> Iterator[None]:
        command = self.within(interface, sys.executable, "-c", SERVER, str(port))
        server = subprocess.Popen(command)
        try:
            asked = self.within(interface, "ss", "-Hltn", f"sport = :{port}")
            assert wait_until(lambda: bool(run(asked)), 20)
            yield
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("network")
    instance = Instance.open(folder / "emulator")
    places = Places(instance)
    networks = Networks(places, Numbers(places), Processes(places), folder)
    web = DesiredInterface(
        "web", "10.0.0.4", 24, "10.0.0.1", instance.public_address(0), (NO_GROUP,)
    )
    other = DesiredInterface("other", "10.0.1.4", 24, "10.0.1.1", None, (NO_GROUP,))
    bench = Bench(instance, networks, web, other)
    try:
        bench.apply()
        with bench.listening(web, 80), bench.listening(other, 80), bench.listening(web, 3000):
            yield bench
    finally:
        teardown.remove(instance)
        assert teardown.verify_clean(instance) == []
        shutil.rmtree(instance.home)
        instance.release()


WEB = NsgRule("web", 100, "Inbound", allow=True, protocol="Tcp", destination_ports=("80",))


def test_a_standard_public_address_is_closed_without_a_group(bench: Bench) -> None:
    bench.apply()
    assert bench.seen_from_host(80) is None


def test_a_rule_opens_its_port_and_the_client_keeps_its_address(bench: Bench) -> None:
    bench.apply(web=(WEB, *DEFAULT_RULES))
    assert bench.seen_from_host(80) == "198.51.100.1"
    assert bench.seen_from_host(80, "127.0.0.7") == "198.51.100.7"
    assert bench.seen_from_host(3000) is None


def test_neighbours_reach_each_other_unless_a_rule_forbids(bench: Bench) -> None:
    bench.apply(web=DEFAULT_RULES, other=DEFAULT_RULES)
    assert bench.seen_from(bench.other, "10.0.0.4", 80) == "10.0.1.4"
    assert bench.seen_from(bench.web, "10.0.1.4", 80) == "10.0.0.4"
    deny = NsgRule("deny", 100, "Inbound", allow=False, sources=("10.0.1.0/24",))
    bench.apply(web=(deny, *DEFAULT_RULES), other=DEFAULT_RULES)
    assert bench.seen_from(bench.other, "10.0.0.4", 80) is None
    assert bench.seen_from(bench.web, "10.0.1.4", 80) == "10.0.0.4"


def test_outbound_rules_hold(bench: Bench) -> None:
    deny = NsgRule("deny", 100, "Outbound", allow=False, destination_ports=("80",), protocol="Tcp")
    bench.apply(web=(deny, *DEFAULT_RULES))
    assert bench.seen_from(bench.web, "10.0.1.4", 80) is None


def test_the_priority_decides(bench: Bench) -> None:
    deny = NsgRule("deny", 90, "Inbound", allow=False, sources=("198.51.100.7",))
    bench.apply(web=(deny, WEB, *DEFAULT_RULES))
    assert bench.seen_from_host(80) == "198.51.100.1"
    assert bench.seen_from_host(80, "127.0.0.7") is None


def test_a_machine_sends_only_from_its_own_address(bench: Bench) -> None:
    bench.apply(web=DEFAULT_RULES, other=DEFAULT_RULES)
    run(bench.within(bench.other, "ip", "address", "add", "10.0.1.99/24", "dev", "eth0"))
    assert bench.seen_from(bench.other, "10.0.0.4", 80, "10.0.1.99", seconds=2) is None
    assert bench.seen_from(bench.other, "10.0.0.4", 80, "10.0.1.4") == "10.0.1.4"


def test_names_resolve_through_azures_name_server(bench: Bench) -> None:
    assert resolves(bench, AZURE_HOST, seconds=20)


def resolves(bench: Bench, server: str, seconds: int) -> bool:
    """Whether a name server answers `web`; its answer may be that there is no such name."""
    query = (
        f"import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout({seconds});"
        "s.sendto(bytes.fromhex('abcd01000001000000000000') + b'\\x09localhost\\0\\0\\1\\0\\1',"
        f"('{server}', 53)); assert s.recv(512)[:2].hex() == 'abcd'"
    )
    return succeeds(bench.within(bench.web, sys.executable, "-c", query))


def test_a_private_machine_needs_a_way_to_the_internet(bench: Bench) -> None:
    """A name server on the other side of the router stands for the internet."""
    public = bench.web
    try:
        bench.web = replace(public, public_address=None)
        bench.apply()
        assert resolves(bench, EGRESS_NAME_SERVER, seconds=20)
        bench.web = replace(bench.web, outbound=False)
        bench.apply()
        assert not resolves(bench, EGRESS_NAME_SERVER, seconds=2)
        assert resolves(bench, AZURE_HOST, seconds=20)
    finally:
        bench.web = public


def test_the_host_itself_is_out_of_reach(bench: Bench) -> None:
    """Neither through the cable to the host nor through the way to the internet."""
    bench.apply(web=DEFAULT_RULES)
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 -- as a careless service
        port = server.getsockname()[1]
        cable = f"169.254.{bench.instance.number}.1"
        assert bench.seen_from(bench.web, cable, port) is None
        assert bench.seen_from(bench.web, "198.19.255.2", port) is None


def test_an_unused_public_address_refuses_even_what_the_host_serves(bench: Bench) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 -- as a careless service
        address = (bench.instance.public_address(5), server.getsockname()[1])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 20)


def test_the_host_forwards_nothing(bench: Bench) -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    bench.apply()
    assert forwarding.read_text() == before
