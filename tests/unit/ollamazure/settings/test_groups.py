"""Mirrors: the authority of their certificates, and what the preview says about their addresses."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from ollamazure.settings.groups import EXAMPLE_AUTHORITY, Mirrors
from ollamazure.settings.stack import Settings
from ollamazure.settings.warnings import warnings_of

NOW = datetime.datetime.now(datetime.UTC)


def certificate(*, authority: bool = True, begins: int = -1, ends: int = 1) -> str:
    """PEM of a certificate that signs itself; the times are days from now."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=begins))
        .not_valid_after(NOW + datetime.timedelta(days=ends))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(key, None)
    )
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("pem", [certificate(), certificate() + EXAMPLE_AUTHORITY])
def test_certificates_of_authorities(pem: str) -> None:
    mirrors = Mirrors.model_validate({"certificateAuthority": f"{pem}\n"})
    assert mirrors.certificate_authority == pem


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (certificate(authority=False), "it has a server's certificate"),
        (certificate() + certificate(authority=False), "it has a server's certificate"),
        (certificate(begins=-9, ends=-2), "it expired on"),
        (certificate(begins=2, ends=9), "it is not valid before"),
        (certificate().replace("M", "é"), "it is not a certificate in PEM"),
        (certificate()[:200], "it is not a certificate in PEM"),
        ("", "it is not a certificate in PEM"),
    ],
)
def test_anything_else_is_refused(pem: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Mirrors.model_validate({"certificateAuthority": pem})


def test_the_machine_reaches_the_ports_that_settings_name() -> None:
    given = {
        "sshClients": ["203.0.113.7/32"],
        "mirrors": {
            "ollama": "http://mirrors.internal/ollama",
            "models": "https://mirrors.internal",
            "containers": "mirrors.internal:8480/public",
        },
        "defaultPermissions": {"chat": {"web_upload": True}},
        "signIn": {
            "clientId": "chat",
            "issuer": "https://login.example.com:8443/realms/team",
            "allowedDomains": ["example.com"],
        },
        "backup": {"target": "sftp", "repository": "sftp://chat@backups.example.com//srv/chat"},
        "webhook": "https://chat.internal:8444/hooks/token",
    }
    assert Settings.model_validate(given).outbound_ports == {
        "mirror_ports": [80, 8480],
        "web_ports": [443],
        "sign_in_ports": [443, 8443],
        "backup_ports": [22],
        "webhook_ports": [8444],
    }
    at_443 = {"sshClients": ["203.0.113.7/32"], "webhook": "https://chat.internal/hooks/token"}
    assert Settings.model_validate(at_443).outbound_ports["webhook_ports"] == []


@pytest.mark.parametrize(
    ("address", "warns"),
    [
        ("mirrors.internal:8480", True),
        ("http://mirrors.internal:8480", False),
        ("https://mirrors.internal:8480", False),
    ],
)
def test_a_mirror_without_a_scheme_is_warned_about(address: str, warns: bool) -> None:
    """An earlier version also contacted it by plain HTTP."""
    settings = Settings.model_validate(
        {"sshClients": ["203.0.113.7/32"], "mirrors": {"containers": address}}
    )
    found = [text for text in warnings_of(settings) if "mirrors.containers" in text]
    assert bool(found) == warns
    assert all("ollamazure:mirrors.containers http://mirrors.internal:8480" in t for t in found)
