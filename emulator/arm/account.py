"""How clients sign in to an emulated Azure: one service principal, and a certificate to trust.

Everything is made once for each instance, in its folder `arm`, which only its owner can read.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import secrets
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509

from emulator.azure.identities import TENANT
from emulator.azure.kinds import new_guid
from emulator.azure.names import SUBSCRIPTION
from emulator.host.certificates import make_certificates
from emulator.host.places import Places, replace_text
from emulator.host.tokens import Directory, Identity
from emulator.instance import Instance

ADDRESS = "127.0.0.1"

_NOWHERE = f"http://{ADDRESS}:9"
"""A proxy that does not exist: the port of the service that discards what it gets."""


def only_loopback() -> dict[str, str]:
    """The environment in which a client of the emulated Azure can reach nothing else."""
    return {"HTTPS_PROXY": _NOWHERE, "HTTP_PROXY": _NOWHERE, "NO_PROXY": ADDRESS}


@dataclass(frozen=True)
class Credentials:
    """What a client needs to sign in. `clientSecret` is random for each instance."""

    tenantId: str  # noqa: N815  -- the names of Azure's own credential files
    subscriptionId: str  # noqa: N815
    clientId: str  # noqa: N815
    clientSecret: str  # noqa: N815
    objectId: str  # noqa: N815


@dataclass(frozen=True)
class Account:
    """The account of one emulated Azure."""

    instance: Instance

    @property
    def folder(self) -> Path:
        return self.instance.home / "arm"

    @property
    def credentials_file(self) -> Path:
        """The credentials as JSON; mode 0600."""
        return self.folder / "credentials.json"

    @property
    def authority(self) -> Path:
        """The certificate that clients have to trust."""
        return self.folder / "authority.pem"

    @property
    def certificate(self) -> tuple[Path, Path]:
        """The server's certificate, and its key."""
        return self.folder / "server.pem", self.folder / "server.key"

    @property
    def port_file(self) -> Path:
        return self.folder / "port"

    @property
    def url(self) -> str:
        """Where the server listens; the port is chosen when it first starts."""
        return f"https://{ADDRESS}:{self.port_file.read_text()}"

    def prepare(self) -> None:
        """Make what does not exist yet. Two processes that do this at once make it once."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            make_certificates(
                self.folder,
                x509.IPAddress(ipaddress.IPv4Address(ADDRESS)),
                x509.IPAddress(ipaddress.IPv4Network(ADDRESS)),
            )
            Directory(Places(self.instance).directory_key)
            if not self.credentials_file.exists():
                fresh = Credentials(
                    TENANT, SUBSCRIPTION, new_guid(), secrets.token_urlsafe(24), new_guid()
                )
                replace_text(self.credentials_file, json.dumps(asdict(fresh), indent=1) + "\n")

    @cached_property
    def credentials(self) -> Credentials:
        return Credentials(**json.loads(self.credentials_file.read_text()))

    @cached_property
    def directory(self) -> Directory:
        """Issues and verifies the instance's tokens."""
        return Directory(Places(self.instance).directory_key)

    @property
    def principal(self) -> Identity:
        """The service principal in the directory."""
        return Identity("", self.credentials.objectId, self.credentials.clientId)
