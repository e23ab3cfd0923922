"""The self-signed certificate and the stack's authority that signs it.

`pulumi up` renews the certificate before it expires. Devices trust the authority, which stays.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from dataclasses import dataclass
from datetime import date
from typing import Any

import pulumi
import pulumi_tls as tls

from ollamazure.settings.groups import CertificateSettings
from ollamazure.settings.types import COMMON_NAME_LIMIT

RSA_BITS = 2048
AUTHORITY_DAYS = 3652  # ten years
# Renewal periods are counted from this day, so that they depend on nothing but the date.
EPOCH = date(2024, 1, 1)


@dataclass(frozen=True)
class CertificateArgs:
    """What the certificate states.

    Attributes:
        host: the address or domain in the URL; common name and subject alternative name.
        subject: the other parts of its name, and how long it is valid and used.
        authority: the authority's name, by which users find it on their devices.
    """

    host: pulumi.Input[str]
    subject: CertificateSettings
    authority: str


class Certificate(pulumi.ComponentResource):
    """A certificate with its key, signed by an authority of the stack.

    Attributes:
        certificate: PEM.
        private_key: PEM, secret.
        authority: the authority's certificate, PEM; its key is used here only.
        trust: what a client checks the certificate with: `authorities` (PEM), and whether also with
            the authorities of its `system`.
        fingerprint: SHA-256 of the certificate's DER form in the notation of browsers, colon-
            separated upper-case hexadecimal.
    """

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
    authority: pulumi.Output[str]
    trust: pulumi.Output[dict[str, Any]]
    fingerprint: pulumi.Output[str]

    def __init__(
        self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Certificate", name, None, opts)
        subject = args.subject
        authority_key = tls.PrivateKey(
            "certificate-authority-key",
            algorithm="ECDSA",
            ecdsa_curve="P384",
            opts=pulumi.ResourceOptions(parent=self),
        )
        authority = self._authority(args, authority_key)
        # pulumi-tls does not renew reliably (its issue 39), so a new period replaces key and
        # certificate: previews within a period show nothing, and the first `up` in the next renews.
        key = tls.PrivateKey(
            "certificate-key",
            algorithm="RSA",
            rsa_bits=RSA_BITS,
            opts=self._renewed(subject.renew_after_days),
        )
        certificate = tls.LocallySignedCert(
            "certificate",
            ca_cert_pem=authority.cert_pem,
            ca_private_key_pem=authority_key.private_key_pem,
            cert_request_pem=self._request(args, key).cert_request_pem,
            validity_period_hours=subject.valid_days * 24,
            allowed_uses=["digital_signature", "key_encipherment", "server_auth"],
            set_subject_key_id=True,
            opts=self._renewed(subject.used_days),
        )
        self.certificate = certificate.cert_pem
        self.private_key = pulumi.Output.secret(key.private_key_pem)
        self.authority = authority.cert_pem
        self.trust = pulumi.Output.from_input({"system": False, "authorities": authority.cert_pem})
        self.fingerprint = certificate.cert_pem.apply(sha256_fingerprint)
        self.register_outputs({"fingerprint": self.fingerprint})

    def _renewed(self, after_days: int) -> pulumi.ResourceOptions:
        period = renewal_period(today(), after_days)
        return pulumi.ResourceOptions(parent=self, replacement_trigger=period)

    def _authority(self, args: CertificateArgs, key: tls.PrivateKey) -> tls.SelfSignedCert:
        return tls.SelfSignedCert(
            "certificate-authority",
            private_key_pem=key.private_key_pem,
            validity_period_hours=AUTHORITY_DAYS * 24,
            allowed_uses=["cert_signing", "crl_signing"],
            is_ca_certificate=True,
            max_path_length=0,
            subject={
                "common_name": args.authority[:COMMON_NAME_LIMIT],
                "organization": args.subject.organization,
            },
            # Another name would be another authority, which no device trusts yet.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["subject"]),
        )

    def _request(self, args: CertificateArgs, key: tls.PrivateKey) -> tls.CertRequest:
        host, subject = pulumi.Output.from_input(args.host), args.subject
        return tls.CertRequest(
            "certificate-request",
            private_key_pem=key.private_key_pem,
            subject={
                "common_name": host,
                "country": subject.country,
                "province": subject.province,
                "locality": subject.locality,
                "organization": subject.organization,
            },
            dns_names=host.apply(lambda known: [] if _is_address(known) else [known]),
            ip_addresses=host.apply(lambda known: [known] if _is_address(known) else []),
            opts=pulumi.ResourceOptions(parent=self),
        )


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
