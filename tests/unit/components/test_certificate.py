"""The certificate's renewal: periods are counted from a fixed date, so previews show no change."""

from __future__ import annotations

import datetime
import hashlib
import ssl

import pytest
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
from ollamazure.settings.stack import Settings
from tests.unit.components.recorder import Recorder, record
from tests.unit.components.test_cloud import OUTPUTS


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
    def registered_on(day: datetime.date) -> Recorder:
        monkeypatch.setattr(certificate, "today", lambda: day)
        args = CertificateArgs("192.0.2.1", Settings(ssh_clients=("192.0.2.7",)).certificate)
        return record(lambda: Certificate("certificate", args), outputs=OUTPUTS)

    for offset, period in ((0, 0), (299, 0), (300, 1)):
        registered = registered_on(EPOCH + datetime.timedelta(days=offset))
        assert registered.named("certificate-key").replacement_trigger == period
        assert registered.named("certificate").replacement_trigger == period


def test_another_rotation_replaces_key_and_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "today", lambda: EPOCH)
    subject = Settings(ssh_clients=("192.0.2.7",)).certificate
    args = CertificateArgs("192.0.2.1", subject, rotation="2027-01")
    registered = record(lambda: Certificate("certificate", args), outputs=OUTPUTS)
    assert registered.named("certificate-key").replacement_trigger == "0 2027-01"
    assert registered.named("certificate").replacement_trigger == "0 2027-01"


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
