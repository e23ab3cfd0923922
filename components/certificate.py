"""The self-signed certificate, which `pulumi up` renews before it expires."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import date

import pulumi
import pulumi_tls as tls

from ollamazure.settings.groups import CertificateSettings

RSA_BITS = 2048
# Renewal periods are counted from this day, so that they depend on nothing but the date.
EPOCH = date(2024, 1, 1)


@dataclass(frozen=True)
class CertificateArgs:
    """What the certificate states.

    Attributes:
        host: the address or domain in the URL; common name and subject alternative name.
        subject: the other parts of its name, and how long it is valid and used.
        rotation: any text; another one replaces the key and the certificate.
    """

    host: pulumi.Input[str]
    subject: CertificateSettings
    rotation: str | None = None


class Certificate(pulumi.ComponentResource):
    """A certificate with its key.

    Attributes:
        certificate: PEM.
        private_key: PEM, secret.
        fingerprint: SHA-256 of the certificate's DER form in the notation of browsers, colon-
            separated upper-case hexadecimal.
    """

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
    fingerprint: pulumi.Output[str]

    def __init__(
        self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Certificate", name, None, opts)
        subject = args.subject
        # pulumi-tls does not renew reliably (its issue 39), so a new period replaces key and
        # certificate: previews within a period show nothing, and the first `up` in the next renews.
        period = renewal_period(today(), subject.renew_after_days)
        trigger = f"{period} {args.rotation}" if args.rotation else period
        renewed = pulumi.ResourceOptions(parent=self, replacement_trigger=trigger)
        key = tls.PrivateKey("certificate-key", algorithm="RSA", rsa_bits=RSA_BITS, opts=renewed)
        host = pulumi.Output.from_input(args.host)
        certificate = tls.SelfSignedCert(
            "certificate",
            private_key_pem=key.private_key_pem,
            validity_period_hours=subject.validity_days * 24,
            allowed_uses=["digital_signature", "key_encipherment", "server_auth"],
            subject={
                "common_name": host,
                "country": subject.country,
                "province": subject.province,
                "locality": subject.locality,
                "organization": subject.organization,
            },
            dns_names=host.apply(lambda known: [] if _is_address(known) else [known]),
            ip_addresses=host.apply(lambda known: [known] if _is_address(known) else []),
            opts=renewed,
        )
        self.certificate = certificate.cert_pem
        self.private_key = pulumi.Output.secret(key.private_key_pem)
        self.fingerprint = certificate.cert_pem.apply(sha256_fingerprint)
        self.register_outputs({"fingerprint": self.fingerprint})


def today() -> date:
    """Today's date; a function of its own, so that tests can replace it."""
    return date.today()


def renewal_period(day: date, renew_after_days: int) -> int:
    """The number of the period that `day` is in; a new number renews the certificate.

    A certificate made on the last day of a period is renewed on the next day. One made on the first
    day is used for `renew_after_days` (at least 1), which is less than its validity.
    """
    return (day - EPOCH).days // renew_after_days


def sha256_fingerprint(pem: str) -> str:
    """SHA-256 of the DER form of one PEM certificate, as `AB:CD:…`."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
