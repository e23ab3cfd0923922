"""Small groups of settings: the network, the certificate, mirrors, rotation, tuning by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from ollamazure import catalog
from ollamazure.settings.base import Section, setting
from ollamazure.settings.types import (
    HTTPS_PORT,
    AcmeDirectory,
    CertificateAuthority,
    ContainerRegistry,
    CountryCode,
    Duration,
    EmailAddress,
    Line,
    LongLine,
    ModelRegistry,
    SubnetId,
    WebAddress,
    Whole,
    port_of,
)

# What browsers and systems accept of a certificate for a server.
VALIDITY_LIMIT_DAYS = 397
CertificateMode = Literal["selfSigned", "letsEncrypt", "provided"]
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"

# An authority without a key; its certificate is only an example of the form.
EXAMPLE_AUTHORITY = (
    "-----BEGIN CERTIFICATE-----\n"
    "MIHdMIGQoAMCAQICAQEwBQYDK2VwMA0xCzAJBgNVBAMMAkNBMCAXDTI2MDEwMTAw\n"
    "MDAwMFoYDzIyMjYwMTAxMDAwMDAwWjANMQswCQYDVQQDDAJDQTAqMAUGAytlcAMh\n"
    "ADF5PZuU1VmI1or1YhEY4Tg6Xw3ur7ZfWntcy4zRC0YaoxMwETAPBgNVHRMBAf8E\n"
    "BTADAQH/MAUGAytlcANBAFM3sUV6Pf7L3MZnStD6gt2VBm538FxvpFZ8/jePjL+m\n"
    "GRCYRRICms+U2n5iyt8qf12ZlWvHfV+lrp2ec0k0zg0=\n"
    "-----END CERTIFICATE-----\n"
)


class NetworkSettings(Section):
    """The network that the machine is in."""

    subnet_id: SubnetId | None = setting(
        None,
        description="An existing subnet for the machine, instead of a network of the stack's own. "
        "Nothing of it is changed or deleted.",
        allowed="the ARM id of a subnet in the same subscription and region",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
        "/providers/Microsoft.Network/virtualNetworks/company/subnets/chat",
    )
    outbound: Literal["natGateway", "existing"] | None = setting(
        None,
        description="How a machine without a public address reaches the internet, from which it "
        "downloads models and updates. natGateway: through one of the stack's own; existing: as "
        "the subnet of network.subnetId already does.",
        allowed="natGateway or existing, and only if publicAddress is false",
        example="existing",
    )


class CertificateSettings(Section):
    """The certificate: where it comes from; of the self-signed one, subject and validity."""

    mode: CertificateMode = setting(
        "selfSigned",
        description="Where the certificate comes from. selfSigned: from an authority of the stack, "
        "which each device has to trust once; letsEncrypt: the machine requests one that browsers "
        "trust, which accepts the terms of the ACME authority; provided: from these settings.",
        allowed="selfSigned, letsEncrypt or provided",
        example="selfSigned",
    )
    email: EmailAddress | None = setting(
        None,
        description="E-mail that the ACME authority may write to. Unset: none.",
        allowed="an e-mail address; only letsEncrypt uses it",
        example="admin@example.com",
    )
    acme_directory: AcmeDirectory = setting(
        LETS_ENCRYPT,
        description="Directory of the ACME authority that letsEncrypt requests the certificate "
        "from.",
        allowed="an https:// address",
        example="https://acme.example.com/directory",
    )
    acme_authority: CertificateAuthority | None = setting(
        None,
        description="The authorities of an ACME directory that is not public: of its own HTTPS, "
        "and of the certificates that it issues.",
        allowed="the certificates of one or more authorities in PEM, without a key",
        example=EXAMPLE_AUTHORITY,
        fill_in=('"$(cat ca.pem)"', "ca.pem is the authority's certificate in PEM."),
    )
    chain: str | None = setting(
        None,
        description="The certificate of mode provided, first the server's, then each signer.",
        allowed="certificates in PEM, without a key, and only if chainFile is unset",
        example=EXAMPLE_AUTHORITY,
        fill_in=('"$(cat chain.pem)"', "chain.pem is the certificate with its chain in PEM."),
    )
    chain_file: str | None = setting(
        None,
        description="A file with the certificate of mode provided, instead of chain.",
        allowed="a path; a relative one starts in the project's folder",
        example="secrets/chain.pem",
    )
    key_file: str | None = setting(
        None,
        description="A file with the key of mode provided, instead of certificateKey. Never commit "
        "it.",
        allowed="a path; a relative one starts in the project's folder",
        example="secrets/key.pem",
    )
    country: CountryCode = setting(
        "FR",
        description="Country in the certificate's subject.",
        allowed="a country's two-letter code (ISO 3166), in capitals: GB, not UK",
        example="FR",
    )
    province: LongLine = setting(
        "France",
        description="State or province in the certificate's subject.",
        allowed="1 to 128 characters",
        example="France",
    )
    locality: LongLine = setting(
        "Paris",
        description="City in the certificate's subject.",
        allowed="1 to 128 characters",
        example="Paris",
    )
    organization: Line = setting(
        "Company",
        description="Organization in the certificate's subject.",
        allowed="1 to 64 characters",
        example="Company",
    )
    validity_days: Annotated[Whole, Field(ge=2, le=825)] = setting(
        365,
        description="Days that a new certificate is valid; it never is for more than 397.",
        allowed="2 to 825 days, of which more than 397 count as 397 (browsers refuse longer ones)",
        example=365,
    )
    renew_after_days: Annotated[Whole, Field(ge=1)] = setting(
        300,
        description="Days after which the next `pulumi up` creates a new certificate.",
        allowed="at least 1 day and fewer than certificate.validityDays",
        example=300,
    )

    @property
    def valid_days(self) -> int:
        """Days that the certificate is valid: earlier versions allowed more than browsers do."""
        return min(self.validity_days, VALIDITY_LIMIT_DAYS)

    @property
    def used_days(self) -> int:
        """Days after which a certificate is replaced; its key is after renew_after_days."""
        return min(self.renew_after_days, VALIDITY_LIMIT_DAYS - 1)

    @property
    def ports(self) -> list[int]:
        """The TCP port of the ACME authority, except that of HTTPS, which every machine reaches."""
        return [] if self.mode != "letsEncrypt" else _other_ports([self.acme_directory])


class Mirrors(Section):
    """Mirrors of the public registries, for machines in a closed network."""

    ollama: WebAddress | None = setting(
        None,
        description="Replaces github.com/ollama/ollama/releases/download.",
        allowed="an http:// or https:// address with "
        f"v{catalog.versions().ollama.version}/ollama-linux-amd64.tar.zst below it",
        example="https://mirrors.example.com/ollama",
    )
    models: ModelRegistry | None = setting(
        None,
        description="Replaces registry.ollama.ai.",
        allowed="the http:// or https:// address of a registry that holds library/llama3.2, "
        "without a path",
        example="https://mirrors.example.com",
    )
    containers: ContainerRegistry | None = setting(
        None,
        description="Replaces ghcr.io and docker.io. Without http:// it is contacted by HTTPS.",
        allowed="the http:// or https:// address of a registry, with a path if it needs one",
        example="https://mirrors.example.com:8443",
    )
    certificate_authority: CertificateAuthority | None = setting(
        None,
        description="The authority that issued the certificates of the mirrors, if it is not a "
        "public one. Every program on the machine trusts it.",
        allowed="the certificates of one or more authorities in PEM, without a key",
        example=EXAMPLE_AUTHORITY,
        fill_in=('"$(cat ca.pem)"', "ca.pem is the authority's certificate in PEM."),
    )

    @property
    def ports(self) -> list[int]:
        """The TCP ports of the mirrors, except that of HTTPS, which every machine reaches."""
        return _other_ports(filter(None, [self.ollama, self.models, self.containers]))


class Rotation(Section):
    """Secrets to replace: any text for each; after a change of it, the next `pulumi up` does it."""

    ssh_key: Line | None = setting(
        None,
        description="Replaces the operators' SSH key. The machine accepts the new one before it "
        "refuses the former one.",
        allowed="1 to 64 characters",
        example="2027-01",
    )
    host_key: Line | None = setting(
        None,
        description="Replaces the machine's SSH host key, and the machine with it. The data disk "
        "stays.",
        allowed="1 to 64 characters",
        example="2027-01",
    )
    admin_password: Line | None = setting(
        None,
        description="Replaces the random password of the chat's administrator.",
        allowed="1 to 64 characters, and only if adminPassword is unset",
        example="2027-01",
    )
    session_key: Line | None = setting(
        None,
        description="Replaces the key that signs Open WebUI's sessions: all users sign in again.",
        allowed="1 to 64 characters",
        example="2027-01",
    )
    certificate_key: Line | None = setting(
        None,
        description="Replaces the key of the certificate, with the certificate.",
        allowed="1 to 64 characters",
        example="2027-01",
    )
    backup_key: Line | None = setting(
        None,
        description="Replaces the key of the backups. The former one opens none of them any more.",
        allowed="1 to 64 characters",
        example="2027-01",
    )
    initial_passwords: Line | None = setting(
        None,
        description="Replaces the initial passwords that their owners have not changed.",
        allowed="1 to 64 characters",
        example="2027-01",
    )


class Tuning(Section):
    """Values that normally follow from the VM's size."""

    parallel_requests: Annotated[Whole, Field(ge=1, le=64)] | None = setting(
        None,
        description="Answers that a model writes at once (OLLAMA_NUM_PARALLEL); each takes memory.",
        allowed="1 to 64",
        example=2,
    )
    loaded_models: Annotated[Whole, Field(ge=1, le=16)] | None = setting(
        None,
        description="Models in memory at the same time (OLLAMA_MAX_LOADED_MODELS).",
        allowed="1 to 16",
        example=1,
    )
    keep_alive: Duration | None = setting(
        None,
        description="How long an idle model stays in memory (OLLAMA_KEEP_ALIVE). Unset: for ever.",
        allowed="a number with ms, s, m or h, or -1 for ever",
        example="30m",
    )
    prompt_cache_mib: Annotated[Whole, Field(ge=0, le=65536)] | None = setting(
        None,
        description="Memory of each loaded model for earlier conversations (LLAMA_ARG_CACHE_RAM).",
        allowed="0 (none) to 65536 MiB",
        example=512,
    )
    database_pool_size: Annotated[Whole, Field(ge=1, le=256)] | None = setting(
        None,
        description="Database connections of Open WebUI (DATABASE_POOL_SIZE).",
        allowed="1 to 256",
        example=128,
    )
    background_generation: bool | None = setting(
        None,
        description="Whether the model also writes titles, tags, follow-ups and completions.",
        allowed="true or false",
        example=False,
    )


def _other_ports(addresses: Iterable[str]) -> list[int]:
    return sorted({port_of(address) for address in addresses} - {HTTPS_PORT})
