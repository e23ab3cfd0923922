"""An OpenID provider for people who sign in: Dex, at the gateway of the deployment's network.

Machine and browser know it by one address there: the machine reaches its gateway by itself, the
browser through the machine.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt

from emulator.artifacts import paths
from emulator.host.places import Numbers, Places
from emulator.instance import Instance
from tests.e2e.deployment import Deployment, Shell, wait_until

PORT = 5556
TRUST = "/etc/containers/systemd/open-webui.container.d/authority.conf"
AUTHORITY = "/etc/ollamazure-test/authority.pem"
# The machine forwards no connections, and reaches only what its settings name.
FORWARDING = {
    "/etc/ssh/sshd_config.d/05-test.conf": "DisableForwarding no\n",
    "/etc/ollamazure/firewall.d/test.nft": (
        f"insert rule inet ollamazure output tcp dport {PORT} accept\n"
    ),
}
# A restart ends when sshd listens again; a reload ends before, and a connection may be refused.
APPLY_FORWARDING = (
    "sudo systemctl restart ssh.service && sudo systemctl reload ollamazure-firewall.service"
)


@dataclass(frozen=True)
class Person:
    """An account of the provider."""

    email: str
    password: str
    name: str


@dataclass(frozen=True)
class Provider:
    """A provider that runs; `proxy` is the browser's way to it (SOCKS)."""

    issuer: str
    proxy: str


@contextmanager
def provider(
    deployment: Deployment, folder: Path, client: dict[str, Any], people: Iterable[Person]
) -> Iterator[Provider]:
    """Dex with one client and people with passwords; as others do, it refuses to be in a frame.

    Beside them it has its own test account: Kilgore Trout (kilgore@kilgore.trout) of the group
    `authors`, who is let in without a question.
    """
    gateway = deployment.ssh("ip -json route show default").output
    address = json.loads(gateway)[0]["gateway"]
    issuer = f"https://{address}:{PORT}"
    make_certificate(folder, address)
    config = folder / "dex.json"
    config.write_text(json.dumps(dex(issuer, folder, client, people)))
    router = ["ip", "netns", "exec", router_of(deployment)]
    with (folder / "dex.log").open("w") as log, tunnel(deployment) as port:
        server = subprocess.Popen(
            [*router, str(paths.dex()), "serve", str(config)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            listens = f"curl --silent --insecure {issuer}/.well-known/openid-configuration"
            wait_until(lambda: issuer in deployment.ssh(listens).output, "Dex", patience=30)
            trust(deployment, (folder / "cert.pem").read_text())
            yield Provider(issuer, f"socks5://127.0.0.1:{port}")
        finally:
            deployment.ssh(f"sudo rm -rf {Path(TRUST).parent} {Path(AUTHORITY).parent}")
            server.terminate()
            server.wait()


def dex(
    issuer: str, folder: Path, client: dict[str, Any], people: Iterable[Person]
) -> dict[str, Any]:
    """Dex's settings."""
    return {
        "issuer": issuer,
        "storage": {"type": "memory"},
        "web": {
            "https": issuer.removeprefix("https://"),
            "tlsCert": str(folder / "cert.pem"),
            "tlsKey": str(folder / "key.pem"),
            "headers": {"X-Frame-Options": "DENY"},
        },
        "oauth2": {"skipApprovalScreen": True},
        "staticClients": [{"name": "The chat", **client}],
        "connectors": [{"type": "mockCallback", "id": "mock", "name": "Kilgore"}],
        "enablePasswordDB": True,
        "staticPasswords": [
            {
                "email": person.email,
                "username": person.name,
                "userID": person.email,
                "hash": bcrypt.hashpw(person.password.encode(), bcrypt.gensalt()).decode(),
            }
            for person in people
        ],
    }


def make_certificate(folder: Path, address: str) -> None:
    """A certificate for the address, signed by itself."""
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    names = ["-subj", "/CN=provider", "-addext", f"subjectAltName=IP:{address}"]
    making = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", *names, *files]
    subprocess.run(making, check=True, capture_output=True)


def trust(deployment: Deployment, certificate: str) -> None:
    """Have Open WebUI trust the provider's certificate from its next start on."""
    volume, variable = f"{AUTHORITY}:/authority.pem:ro", "SSL_CERT_FILE=/authority.pem"
    drop_in = f"[Container]\nVolume={volume}\nEnvironment={variable}\n"
    for path, text in ((AUTHORITY, certificate), (TRUST, drop_in)):
        deployment.ssh(f"sudo install -D -m 0644 /dev/stdin {path}", stdin=text)


def router_of(deployment: Deployment) -> str:
    """The namespace of the gateway of the deployment's only network."""
    places = Places(Instance.open(deployment.home))
    (number,) = Numbers(places).known("network").values()
    return places.network_namespace(number)


@contextmanager
def tunnel(deployment: Deployment) -> Iterator[int]:
    """A SOCKS proxy on this host, at the port that is yielded, whose other end is the machine."""
    for path, text in FORWARDING.items():
        deployment.ssh(f"sudo install -m 0644 /dev/stdin {path}", stdin=text)
    deployment.ssh(APPLY_FORWARDING)
    # Not the deployment's own connection: an `up` ends that.
    shell = Shell(deployment.connect)
    try:
        yield shell.use(lambda connection: connection.forward_socks("127.0.0.1", 0)).get_port()
    finally:
        shell.close()
        deployment.ssh(f"sudo rm {' '.join(FORWARDING)} && {APPLY_FORWARDING}")
