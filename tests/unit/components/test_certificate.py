"""The certificate's renewal: periods are counted from a fixed date, so previews show no change."""

from __future__ import annotations

import datetime
import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import sslyze
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components import certificate
from components.certificate import (
    EPOCH,
    Certificate,
    CertificateArgs,
    renewal_period,
    sha256_fingerprint,
)
from ollamazure.settings.groups import (
    LETS_ENCRYPT,
    VALIDITY_LIMIT_DAYS,
    CertificateSettings,
    Rotation,
)
from ollamazure.settings.stack import Settings
from tests.unit.components.recorder import Recorder, record
from tests.unit.components.test_cloud import OUTPUTS, whole_program
from tests.unit.ollamazure.settings.test_provided_certificate import LEAF, MIDDLE, NAME


def test_the_period_changes_every_renew_after_days_and_never_in_between() -> None:
    days = [EPOCH + datetime.timedelta(days=offset) for offset in range(901)]
    periods = [renewal_period(day, 300) for day in days]
    assert periods == [0] * 300 + [1] * 300 + [2] * 300 + [3]


@pytest.mark.parametrize("made_on", [0, 150, 299])
def test_the_certificate_is_renewed_before_it_ends(made_on: int) -> None:
    made = EPOCH + datetime.timedelta(days=made_on)
    ends = made + datetime.timedelta(days=365)
    at_the_latest = made + datetime.timedelta(days=300)
    assert renewal_period(at_the_latest, 300) != renewal_period(made, 300)
    assert (ends - at_the_latest).days == 65


def test_the_next_period_replaces_key_and_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    for offset, period in ((0, 0), (299, 0), (300, 1)):
        monkeypatch.setattr(
            certificate, "today", lambda day=EPOCH + datetime.timedelta(days=offset): day
        )
        registered = registered_for("192.0.2.1")
        assert registered.named("certificate-key").replacement_trigger == period
        assert registered.named("certificate").replacement_trigger == period


def test_the_authority_signs_leaves_only_and_stays_for_ten_years() -> None:
    registered = registered_for("chat.example.com")
    made = registered.named("certificate-authority").inputs
    assert (made["isCaCertificate"], made["maxPathLength"]) == (True, 0)
    assert made["allowedUses"] == ["cert_signing", "crl_signing"]
    assert made["validityPeriodHours"] >= 10 * 365 * 24
    assert made["subject"]["commonName"] == "chat-dev authority"
    for name in ("certificate-authority", "certificate-authority-key"):
        assert registered.named(name).replacement_trigger is None
    leaf = registered.named("certificate").inputs
    assert leaf["caCertPem"] == OUTPUTS["certificate-authority"]["certPem"]
    assert registered.named("certificate").secrets == {"caPrivateKeyPem"}


def test_the_default_validity_is_within_mozillas_profile() -> None:
    """Its limit is less than what browsers accept, which is that of the settings."""
    package = Path(sslyze.__file__).parent
    [profile] = (package / "mozilla_tls_profile").glob("*.json")
    intermediate = json.loads(profile.read_text())["configurations"]["intermediate"]
    default = CertificateSettings()
    assert default.valid_days <= intermediate["maximum_certificate_lifespan"] == 366
    assert VALIDITY_LIMIT_DAYS == 397


def test_a_validity_of_earlier_versions_is_shortened_and_keeps_the_key() -> None:
    former = CertificateSettings(validity_days=825, renew_after_days=824)
    registered = registered_for("192.0.2.1", former)
    assert registered.named("certificate").inputs["validityPeriodHours"] == 397 * 24
    today = certificate.today()
    assert registered.named("certificate").replacement_trigger == renewal_period(today, 396)
    assert registered.named("certificate-key").replacement_trigger == renewal_period(today, 824)


def test_with_lets_encrypt_the_machine_replaces_the_certificate() -> None:
    registered = whole_program("local", domain=NAME, certificate={"mode": "letsEncrypt"})
    install = registered.named("nginx-certificate").inputs
    assert "/etc/nginx/cert/self-signed.pem" in install["stdin"]
    assert "/etc/nginx/cert/server.pem" not in install["stdin"]
    acme = registered.named("acme")
    assert f"{LETS_ENCRYPT} issues {NAME}" in acme.inputs["stdin"]
    assert acme.inputs["delete"].startswith("sudo install")
    assert "nginx" in acme.dependencies
    question = json.loads(registered.named("chat-answers").inputs["stdin"])
    assert question["trust"]["system"] and question["fingerprint"] is None
    assert question["trust"]["authorities"] == OUTPUTS["certificate-authority"]["certPem"]
    assert question["address"]


def test_a_provided_certificate_needs_no_authority() -> None:
    chain = LEAF.pem + MIDDLE.pem
    certificate = {"mode": "provided", "chain": chain}
    registered = whole_program(
        "local", domain=NAME, certificate=certificate, certificateKey=LEAF.key_pem
    )
    assert [it.name for it in registered.resources if it.name.startswith("certificate-")] == []
    install = registered.named("nginx-certificate")
    assert "stdin" in install.secrets
    assert LEAF.key_pem.splitlines()[1] in install.inputs["stdin"]
    question = json.loads(registered.named("chat-answers").inputs["stdin"])
    assert question["trust"] == {"system": False, "authorities": chain}
    shown = LEAF.certificate.fingerprint(hashes.SHA256())
    assert bytes.fromhex(question["fingerprint"].replace(":", "")) == shown


def test_another_rotation_replaces_key_and_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "today", lambda: EPOCH)
    registered = registered_for("192.0.2.1", rotation=Rotation(certificate_key="2027-01"))
    assert registered.named("certificate-key").replacement_trigger == "0 2027-01"
    assert registered.named("certificate").replacement_trigger == "0 2027-01"


def registered_for(
    host: str, subject: CertificateSettings | None = None, **others: Any
) -> Recorder:
    own = {"certificate": subject or CertificateSettings(), **others}
    args = CertificateArgs(
        host, Settings(ssh_clients=("192.0.2.7",), **own), authority="chat-dev authority"
    )
    return record(lambda: Certificate("certificate", args), outputs=OUTPUTS)


def test_the_fingerprint_is_the_one_browsers_show() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.20.0.4")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    expected = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
    assert bytes.fromhex(sha256_fingerprint(pem).replace(":", "")) == expected
    assert made.fingerprint(hashes.SHA256()) == expected
