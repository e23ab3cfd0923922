"""The HTTP proxy of a company network, through which the machine downloads everything."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ollamazure.settings.base import Section, setting
from ollamazure.settings.groups import EXAMPLE_AUTHORITY
from ollamazure.settings.problems import refusal
from ollamazure.settings.types import HIGHEST_PORT, CertificateAuthority

HOST = (
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
# What no program on the machine sends to a proxy: itself, its containers by address and name (not
# every program understands a range), and Azure's metadata service and wire server.
NEVER = (
    *("localhost", "127.0.0.1", "10.89.0.0/24", "10.89.0.1", "10.89.0.10", "10.89.0.11"),
    *("host.containers.internal", "169.254.169.254", "168.63.129.16"),
)


def _url(value: str) -> str:
    """The address as http://HOST:PORT."""
    url = value.strip().removesuffix("/")
    scheme = urlsplit(url).scheme if "://" in url else ""
    if "@" in url:
        raise refusal(
            "it has a user name or a password, which every program and log on the machine would "
            "see; let the proxy accept the machine by its address"
        )
    if scheme == "https":
        reason = "programs speak HTTP to a proxy and send HTTPS through it; give its HTTP port"
        raise refusal(reason, instead=f"http://{url.partition('://')[2]}")
    if scheme.startswith("socks"):
        raise refusal("a SOCKS proxy is not supported; give the address of an HTTP proxy")
    match = re.fullmatch(rf"http://(?P<host>{HOST})(:(?P<port>\d{{1,5}}))?", url)
    if not match:
        raise refusal("it is not http://, a host and a port")
    if match["port"] is None:
        raise refusal("it has no port", instead=f"{url}:3128")
    if not 1 <= int(match["port"]) <= HIGHEST_PORT:
        raise refusal(f"a port is a number from 1 to {HIGHEST_PORT}")
    return url.lower()


def _exception(value: str) -> str:
    """A host, a domain with a dot before it, an IPv4 address, or a range of these."""
    name = value.strip().lower().removeprefix("*")
    if "://" in name:
        raise refusal("it is a host, without http:// or https://", instead=urlsplit(name).hostname)
    if re.fullmatch(r"[\d./]+", name):
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            raise refusal("it is neither an IPv4 address nor a range") from None
        if network.prefixlen == 0:
            raise refusal("it is every address, so nothing would use the proxy")
        return str(network).removesuffix("/32")
    if not re.fullmatch(rf"\.?{HOST}", name):
        raise refusal("it is no host name, domain, IPv4 address or range; it has no port")
    return name


ProxyUrl = Annotated[str, AfterValidator(_url)]
ProxyException = Annotated[str, AfterValidator(_exception)]


class ProxySettings(Section):
    """An HTTP proxy for all downloads of the machine."""

    url: ProxyUrl | None = setting(
        None,
        description="The proxy through which the machine downloads everything. With it, the "
        "machine's firewall lets it reach no other address on the internet. Unset: none.",
        allowed="http://HOST:PORT, without a user name and a password",
        example="http://proxy.example.com:3128",
    )
    exceptions: Annotated[tuple[ProxyException, ...], Field(max_length=100)] = setting(
        (),
        description="What the machine reaches without the proxy, such as mirrors in the same "
        "network.",
        allowed="host names, domains as .example.com, IPv4 addresses and ranges, and only with "
        "proxy.url",
        example=[".intern.example.com", "10.20.0.0/16"],
    )
    certificate_authority: CertificateAuthority | None = setting(
        None,
        description="The authority of a proxy that opens HTTPS connections. Every program on the "
        "machine trusts it.",
        allowed="the certificates of one or more authorities in PEM, without a key, and only with "
        "proxy.url",
        example=EXAMPLE_AUTHORITY,
        fill_in=('"$(cat ca.pem)"', "ca.pem is the authority's certificate in PEM."),
    )

    @property
    def host(self) -> str:
        return str(urlsplit(self.url or "").hostname)

    @property
    def port(self) -> int:
        return urlsplit(self.url or "").port or 0

    @property
    def never(self) -> list[str]:
        """What programs reach without the proxy, for the variable NO_PROXY."""
        return [*NEVER, *self.exceptions]

    @property
    def address(self) -> str | None:
        """Its IPv4 address; None if it has a name, which the firewall does not know."""
        return self.host if re.fullmatch(r"[\d.]+", self.host) else None

    @property
    def direct(self) -> list[str] | None:
        """The addresses and ranges of the exceptions; None if one is a name."""
        ranges = [each for each in self.exceptions if re.fullmatch(r"[\d./]+", each)]
        return ranges if len(ranges) == len(self.exceptions) else None
