"""Small groups of settings: the certificate, mirrors, rotation, and tuning by hand."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ollamazure import catalog
from ollamazure.settings.base import Section, setting
from ollamazure.settings.types import (
    CertificateAuthority,
    ContainerRegistry,
    CountryCode,
    Duration,
    Line,
    LongLine,
    ModelRegistry,
    WebAddress,
    Whole,
)

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


class CertificateSettings(Section):
    """The self-signed certificate: its subject, and how long it is valid."""

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
        description="Days that a new certificate is valid.",
        allowed="2 to 825 days (browsers refuse longer ones)",
        example=365,
    )
    renew_after_days: Annotated[Whole, Field(ge=1)] = setting(
        300,
        description="Days after which the next `pulumi up` creates a new certificate.",
        allowed="at least 1 day and fewer than certificate.validityDays",
        example=300,
    )


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
        example=8,
    )
    background_generation: bool | None = setting(
        None,
        description="Whether the model also writes titles, tags, follow-ups and completions.",
        allowed="true or false",
        example=False,
    )
