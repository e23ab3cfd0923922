"""The self-signed certificate, renewed in time by `pulumi up`."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

RSA_BITS = 2048
# Periods are counted from here, so that they depend on nothing but the date.
EPOCH = datetime.date(2024, 1, 1)


@dataclass(frozen=True)
class CertificateArgs:
    """What the certificate says.

    Attributes:
        host: the address or domain in the URL; common name and subject alternative name.
        country: two letters.
        province: for example `France`.
        locality: for example `Paris`.
        organization: for example `Company`.
        validity_days: days from its making until it expires.
        period: see `renewal_period`.
    """

    host: pulumi.Input[str]
    country: str
    province: str
    locality: str
    organization: str
    validity_days: int
    period: int


class Certificate(pulumi.ComponentResource):
    """A certificate with its key.

    `certificate` and `private_key` (secret) are PEM; `fingerprint` is the SHA-256 of the
    certificate's DER form, as colon-separated upper-case hexadecimal, the form browsers show.
    """

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
    fingerprint: pulumi.Output[str]

    def __init__(
        self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Certificate", name, None, opts)
        # pulumi-tls renews only now and then (its issue 39), so the period replaces both: within
        # one period previews show nothing, and the first `up` in the next renews.
        renewed = pulumi.ResourceOptions(parent=self, replacement_trigger=args.period)
        key = tls.PrivateKey("certificate-key", algorithm="RSA", rsa_bits=RSA_BITS, opts=renewed)
        host = pulumi.Output.from_input(args.host)
        certificate = tls.SelfSignedCert(
            "certificate",
            private_key_pem=key.private_key_pem,
            validity_period_hours=args.validity_days * 24,
            allowed_uses=["digital_signature", "key_encipherment", "server_auth"],
            subject={
                "common_name": host,
                "country": args.country,
                "province": args.province,
                "locality": args.locality,
                "organization": args.organization,
            },
            dns_names=host.apply(lambda known: [] if _is_address(known) else [known]),
            ip_addresses=host.apply(lambda known: [known] if _is_address(known) else []),
            opts=renewed,
        )
        self.certificate = certificate.cert_pem
        self.private_key = pulumi.Output.secret(key.private_key_pem)
        self.fingerprint = certificate.cert_pem.apply(sha256_fingerprint)
        self.register_outputs({"fingerprint": self.fingerprint})


def renewal_period(today: datetime.date, renew_after_days: int) -> int:
    """The number of the period that `today` is in; a new number renews the certificate.

    A certificate made on the last day of a period is renewed the day after, and one made on the
    first is used for `renew_after_days` (at least 1), which settings keep below its validity.
    """
    return (today - EPOCH).days // renew_after_days


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
