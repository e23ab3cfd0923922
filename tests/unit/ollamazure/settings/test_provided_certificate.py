"""A certificate from the settings: what the preview refuses, and what it warns about."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from ollamazure.azure.stack_file import StackFile
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.stack import Settings
from ollamazure.settings.warnings import warnings_of

NAME = "chat.example.com"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Signer:
    """A certificate with its key; signed by itself, or by another."""

    def __init__(
        self,
        name: str,
        by: Signer | None = None,
        *,
        names: Sequence[str] = (),
        authority: bool = False,
        key: Any = None,
        begins: int = -1,
        ends: int = 90,
        client: bool = False,
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(by.name if by else self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + begins * DAY)
            .not_valid_after(NOW + ends * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(map(_general, names))), False
            )
        if not authority:
            purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        signer = by.key if by else self.key
        digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        self.certificate = builder.sign(signer, digest)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        form = (Encoding.PEM, PrivateFormat.PKCS8)
        return str(self.key.private_bytes(*form, NoEncryption()).decode())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


ROOT = Signer("root", authority=True)
MIDDLE = Signer("middle", ROOT, authority=True)
LEAF = Signer("leaf", MIDDLE, names=[NAME])


def texts(chain: str, key: str, **more: Any) -> dict[str, str]:
    certificate = {"mode": "provided", "chain": chain}
    return {
        "sshClients": "203.0.113.7",
        "domain": NAME,
        "certificate": json.dumps(certificate),
        "certificateKey": key,
        **more,
    }


def problems(given: dict[str, str]) -> dict[str, str]:
    with pytest.raises(SettingsError) as error:
        parse(given, frozenset({"certificateKey"}))
    for line in LEAF.key_pem.splitlines()[1:-1]:
        assert line not in str(error.value)
    return {each.where: each.what for each in error.value.problems}


@pytest.mark.parametrize("chain", [LEAF.pem + MIDDLE.pem, LEAF.pem + MIDDLE.pem + ROOT.pem])
def test_a_certificate_with_its_chain(chain: str) -> None:
    settings = parse(texts(chain, LEAF.key_pem), frozenset({"certificateKey"}))
    assert settings.certificate.mode == "provided"
    assert certificate_warnings(settings) == []


def certificate_warnings(settings: Settings) -> list[str]:
    """Without the one about images that are pulled by their tag."""
    return [warning for warning in warnings_of(settings) if "by its tag" not in warning]


def leaf(**changes: Any) -> Signer:
    return Signer("leaf", MIDDLE, **{"names": [NAME], **changes})


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (leaf(ends=-0.5), "certificate 1 expired on"),
        (leaf(begins=2), "certificate 1 is not valid before"),
        (leaf(names=["other.example.com"]), f"it is for other.example.com, not for {NAME}"),
        (leaf(names=["*.sub.example.com"]), "it is for *.sub.example.com, not for"),
        (leaf(names=[]), "it is for no name, not for"),
        (leaf(client=True), "it is not for a server (serverAuth)"),
        (leaf(key=rsa.generate_private_key(65537, 1024)), "RSA with 1024 bits"),  # noqa: S505
        (leaf(key=ed25519.Ed25519PrivateKey.generate()), "a kind of key that browsers do not"),
    ],
)
def test_a_certificate_that_a_server_cannot_use(server: Signer, reason: str) -> None:
    found = problems(texts(server.pem + MIDDLE.pem, server.key_pem))
    assert list(found) == ["ollamazure:certificate.chain"]
    assert reason in found["ollamazure:certificate.chain"]


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        (LEAF.pem + ROOT.pem, "certificate 2 did not sign certificate 1"),
        (LEAF.pem + ROOT.pem + MIDDLE.pem, "certificate 3 did not sign certificate 2"),
        (MIDDLE.pem + LEAF.pem, "that of an authority; the server's comes first"),
        (MIDDLE.pem + ROOT.pem, "that of an authority; the server's is missing"),
        ("a text", "it is not a certificate in PEM"),
        (LEAF.pem + LEAF.key_pem, "it has a private key"),
    ],
)
def test_a_chain_that_is_not_one(chain: str, reason: str) -> None:
    assert reason in problems(texts(chain, LEAF.key_pem))["ollamazure:certificate.chain"]


def test_everything_is_reported_at_once() -> None:
    server = leaf(ends=-0.5, names=["other.example.com"])
    found = problems(texts(server.pem + ROOT.pem, LEAF.key_pem))
    chain = found["ollamazure:certificate.chain"]
    for part in ("expired on", "not for chat.example.com", "did not sign"):
        assert part in chain
    assert "it is not the key of the certificate" in found["ollamazure:certificateKey"]


def test_a_key_with_a_passphrase() -> None:
    form = (Encoding.PEM, PrivateFormat.PKCS8)
    closed = LEAF.key.private_bytes(*form, BestAvailableEncryption(b"secret")).decode()
    found = problems(texts(LEAF.pem + MIDDLE.pem, closed))
    assert "it has a passphrase" in found["ollamazure:certificateKey"]


@pytest.mark.parametrize("name", ["*.example.com", "CHAT.example.com"])
def test_names_that_cover_the_chats(name: str) -> None:
    server = leaf(names=[name])
    parse(texts(server.pem + MIDDLE.pem, server.key_pem), frozenset({"certificateKey"}))


def test_files_instead_of_values(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text(LEAF.pem + MIDDLE.pem)
    (tmp_path / "key.pem").write_text(LEAF.key_pem)
    files = {"chainFile": str(tmp_path / "chain.pem"), "keyFile": str(tmp_path / "key.pem")}
    given = {"sshClients": "203.0.113.7", "domain": NAME}
    parse(given | {"certificate": json.dumps({"mode": "provided", **files})})
    missing = {"chainFile": str(tmp_path / "none.pem"), "keyFile": str(tmp_path / "none.pem")}
    found = problems(given | {"certificate": json.dumps({"mode": "provided", **missing})})
    assert found.keys() == {"ollamazure:certificate.chainFile", "ollamazure:certificate.keyFile"}
    assert all("cannot be read (No such file" in what for what in found.values())


def test_an_encrypted_key_is_taken_to_be_the_chains() -> None:
    given = {f"ollamazure:{key}": text for key, text in texts(LEAF.pem + MIDDLE.pem, "").items()}
    encrypted = {"ollamazure:certificateKey": {"secure": "v1:ciphertext"}}
    read = StackFile("prod", {**given, **encrypted}).settings()
    assert read.certificate.mode == "provided"


def test_nothing_is_given() -> None:
    given = {"sshClients": "203.0.113.7", "certificate": '{"mode": "provided"}'}
    assert problems(given).keys() == {"ollamazure:certificate.chain", "ollamazure:certificateKey"}


def test_a_certificate_that_expires_soon_is_a_warning() -> None:
    server = leaf(ends=29)
    settings = parse(texts(server.pem + MIDDLE.pem, server.key_pem), frozenset({"certificateKey"}))
    (warning,) = certificate_warnings(settings)
    assert f"expires on {server.certificate.not_valid_after_utc:%Y-%m-%d}" in warning


def test_azure_would_never_accept_a_certificate_that_is_signed_by_itself() -> None:
    alone = Signer("alone", names=[NAME])
    alerts = {"alerts": '{"email": ["alice@example.com"]}'}
    for server, chain, count in ((alone, alone.pem, 1), (LEAF, LEAF.pem + MIDDLE.pem, 0)):
        given = texts(chain, server.key_pem, **alerts)
        found = certificate_warnings(parse(given, frozenset({"certificateKey"})))
        assert len(found) == count
    given = texts(alone.pem, alone.key_pem, **alerts)
    (warning,) = certificate_warnings(parse(given, frozenset({"certificateKey"})))
    assert "pulumi config set --path ollamazure:alerts.availabilityTest false" in warning


def test_a_certificate_that_no_mode_uses_is_a_warning() -> None:
    given = texts(LEAF.pem, LEAF.key_pem) | {"certificate": json.dumps({"chain": LEAF.pem})}
    (warning,) = certificate_warnings(parse(given, frozenset({"certificateKey"})))
    assert "certificate.chain, certificateKey have no effect" in warning


def test_lets_encrypt_needs_a_name() -> None:
    given = {"sshClients": "203.0.113.7", "certificate": '{"mode": "letsEncrypt"}'}
    found = problems(given)
    assert "neither domain nor dnsLabel is set" in found["ollamazure:certificate.mode"]
    assert certificate_warnings(parse(given | {"domain": NAME})) == []
    (warning,) = certificate_warnings(parse(given | {"dnsLabel": "our-team-chat"}))
    assert "counts all names of cloudapp.azure.com together" in warning
    assert "CNAME record to our-team-chat.francecentral.cloudapp.azure.com" in warning


@pytest.mark.parametrize(
    ("closed", "why"),
    [
        ({"allowedClients": '["203.0.113.0/24"]'}, "allowedClients does not admit all addresses"),
        (
            {"publicAddress": "false", "network": '{"outbound": "natGateway"}'},
            "publicAddress is false",
        ),
    ],
)
def test_lets_encrypt_needs_a_chat_that_is_open_to_the_internet(
    closed: dict[str, str], why: str
) -> None:
    given = {"sshClients": "203.0.113.7", "domain": NAME, **closed}
    found = problems(given | {"certificate": '{"mode": "letsEncrypt"}'})
    assert why in found["ollamazure:certificate.mode"]
    own = {"mode": "letsEncrypt", "acmeDirectory": "https://ca.example.com:9000/acme"}
    settings = parse(given | {"certificate": json.dumps(own)})
    assert settings.outbound_ports["mirror_ports"] == [9000]


@pytest.mark.parametrize(("days", "warned"), [(397, False), (825, True)])
def test_a_validity_that_browsers_refuse_is_shortened(days: int, warned: bool) -> None:
    certificate = json.dumps({"validityDays": days})
    settings = parse({"sshClients": "203.0.113.7", "certificate": certificate})
    assert settings.certificate.valid_days == 397
    found = certificate_warnings(settings)
    assert bool(found) == warned
    assert not warned or "pulumi config set --path ollamazure:certificate.validityDays" in found[0]
