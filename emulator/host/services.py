"""Azure's services that machines reach over their network: the metadata service, and blobs.

Like the mirrors they run on the routers of the virtual networks. They are started when a machine
has an identity, and when there is a storage account.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from emulator.artifacts import paths
from emulator.azure.fabric import FabricError
from emulator.azure.storage import BLOB_DOMAIN
from emulator.host import metadata
from emulator.host.blobs import accounts_of, internal_account
from emulator.host.certificates import make_certificates
from emulator.host.commands import run
from emulator.host.desired import Desired, DesiredNetwork
from emulator.host.network import Networks, make_namespace, remove_namespace
from emulator.host.places import Numbers, Places
from emulator.host.processes import Processes
from emulator.host.tokens import Directory

_AZURITE_PORT = "10000"
_MARK = "# storage accounts of the emulated Azure"
_TRUST = "usr/local/share/ca-certificates/emulated-azure.crt"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


class Services:
    """The services of one instance."""

    def __init__(
        self, places: Places, numbers: Numbers, processes: Processes, networks: Networks
    ) -> None:
        self._places = places
        self._numbers = numbers
        self._processes = processes
        self._networks = networks
        self._certificates = places.state / "blobs"

    def reconcile(self, resources: Mapping[str, Mapping[str, Any]], desired: Desired) -> None:
        """Start what the machines may use, and stop the rest. Raises FabricError."""
        accounts = accounts_of(resources)
        with_identity = any(resources[each.id].get("identity") for each in desired.machines)
        if with_identity or accounts:
            Directory(self._places.directory_key)  # before two servers make one each
        networks = [network for network in desired.networks if network.gateways]
        for network in networks:
            self._switch(
                f"metadata-{self._number(network)}", network, with_identity, self._metadata
            )
        self._start_azurite([internal_account(account) for account in accounts.values()])
        for network in networks:
            self._switch(f"blobs-{self._number(network)}", network, bool(accounts), self._blobs)
        if not accounts:
            self._processes.stop("azurite")
            remove_namespace(self._namespace)
        self._connect(desired, sorted(accounts))

    def _connect(self, desired: Desired, accounts: Sequence[str]) -> None:
        """Let each machine find the accounts by their names, and trust their certificate."""
        for machine in desired.machines:
            root = self._places.machine(machine.name) / "root"
            if not root.exists():
                continue
            _, interface = desired.cable_of(machine)
            connect_machine(root, interface.gateway, accounts, self._certificates)

    @property
    def _namespace(self) -> str:
        """The network namespace that Azurite has for itself."""
        return f"{self._places.instance.prefix}-blobs"

    def _number(self, network: DesiredNetwork) -> int:
        return self._numbers.of("network", network.id)

    def _switch(self, helper: str, network: DesiredNetwork, on: bool, start: Any) -> None:
        if on:
            start(helper, network)
        else:
            self._processes.stop(helper)

    def _metadata(self, helper: str, network: DesiredNetwork) -> None:
        router = self._networks.router_of(network.id)
        run(["ip", "-n", router, "address", "replace", f"{metadata.ADDRESS}/32", "dev", "lo"])
        server = [sys.executable, "-m", "emulator.host.metadata"]
        server += [str(self._places.instance.home), network.id, metadata.ADDRESS, "80"]
        self._start(helper, router, server, f"{metadata.ADDRESS}:80")

    def _blobs(self, helper: str, network: DesiredNetwork) -> None:
        router, address = self._networks.router_of(network.id), network.gateways[0]
        server = [sys.executable, "-m", "emulator.host.blobs"]
        server += [str(self._places.instance.home), address, "443", self._namespace]
        self._start(helper, router, server, f"{address}:443")

    def _start_azurite(self, accounts: Sequence[str]) -> None:
        if not accounts:
            return
        if not paths.azurite_blobs().exists() or shutil.which("node") is None:
            raise FabricError(
                "InternalExecutionError",
                "The blobs of a storage account need Azurite and Node. Install them with: "
                "apt-get install nodejs npm, then python -m emulator.artifacts build azurite",
            )
        make_blob_certificates(self._certificates)
        make_namespace(self._namespace)
        self._places.blobs.mkdir(exist_ok=True)
        server = [sys.executable, "-m", "emulator.host.azurite", str(self._places.blobs)]
        server += [str(self._certificates), *accounts]
        self._start("azurite", self._namespace, server, f"127.0.0.1:{_AZURITE_PORT}")

    def _start(self, helper: str, namespace: str, server: Sequence[str], listens: str) -> None:
        within = ["ip", "netns", "exec", namespace]
        port = listens.rpartition(":")[2]
        self._processes.ensure(
            helper,
            [*within, *server],
            ready=lambda: listens in run([*within, "ss", "-Hltn", f"sport = :{port}"]),
        )


def make_blob_certificates(folder: Path) -> None:
    """Write the certificate of all accounts and its authority, unless they exist."""
    make_certificates(folder, x509.DNSName(f"*.{BLOB_DOMAIN}"), x509.DNSName(BLOB_DOMAIN))


def connect_machine(root: Path, gateway: str, accounts: Sequence[str], certificates: Path) -> None:
    """Write the accounts' names and their authority into a machine's files. Safe to repeat."""
    hosts = root / "etc/hosts"
    others = [line for line in hosts.read_text().splitlines() if not line.endswith(_MARK)]
    names = [f"{gateway} {name}.{BLOB_DOMAIN} {_MARK}" for name in accounts]
    text = "".join(f"{line}\n" for line in (*others, *names))
    if text != hosts.read_text():
        hosts.write_text(text)  # in place: the file may be mounted on the machine
    trusted = root / _TRUST
    if not accounts or trusted.exists():
        return
    authority = (certificates / "authority.pem").read_text()
    trusted.parent.mkdir(parents=True, exist_ok=True)
    trusted.write_text(authority)
    bundle = root / _BUNDLE
    if bundle.exists():  # update-ca-certificates would do the same
        with bundle.open("a") as file:
            file.write(authority)
