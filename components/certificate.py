"""The certificate that Nginx shows, or at first shows: self-signed or from the settings.

An authority of the stack signs the self-signed one, and `pulumi up` renews it before it expires.
Devices trust the authority, which stays. With Let's Encrypt, the machine replaces it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pulumi
import pulumi_tls as tls

from ollamazure.settings import provided_certificate as provided
from ollamazure.settings.stack import Settings
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
        settings: the stack's: where the certificate comes from, and the rest of its name.
        authority: the authority's name, by which users find it on their devices.
    """

    host: pulumi.Input[str]
    settings: Settings
    authority: str


class Certificate(pulumi.ComponentResource):
    """A certificate with its key.

    Attributes:
        certificate: PEM; with its chain if the settings have it.
        private_key: PEM, secret.
        authority: the certificate of the stack's authority, PEM, whose key is used here only; None
            if the certificate is from the settings.
        trust: what a client checks the certificate in force with: `authorities` (PEM), and whether
            also with the authorities of its `system`.
        fingerprint: SHA-256 of the certificate's DER form in the notation of browsers, colon-
            separated upper-case hexadecimal; None if the machine replaces the certificate.
    """

    certificate: pulumi.Output[str]
    private_key: pulumi.Output[str]
    authority: pulumi.Output[str] | None
    trust: pulumi.Output[dict[str, Any]]
    fingerprint: pulumi.Output[str] | None

    def __init__(
        self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ollamazure:index:Certificate", name, None, opts)
        mode = args.settings.certificate.mode
        if mode == "provided":
            self._provide(args)
        else:
            self._sign(args)
        self.fingerprint = (
            None if mode == "letsEncrypt" else self.certificate.apply(sha256_fingerprint)
        )
        self.register_outputs({"fingerprint": self.fingerprint})

    def _provide(self, args: CertificateArgs) -> None:
        text = provided.chain_text(args.settings).strip() + "\n"
        host = pulumi.Output.from_input(args.host)
        self.certificate = host.apply(lambda known: _checked_for(text, known))
        self.private_key = pulumi.Output.secret(provided.key_text(args.settings))
        self.authority = None
        self.trust = _trust([text])

    def _sign(self, args: CertificateArgs) -> None:
        subject = args.settings.certificate
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
            opts=self._renewed(args, subject.renew_after_days),
        )
        certificate = tls.LocallySignedCert(
            "certificate",
            ca_cert_pem=authority.cert_pem,
            ca_private_key_pem=authority_key.private_key_pem,
            cert_request_pem=self._request(args, key).cert_request_pem,
            validity_period_hours=subject.valid_days * 24,
            allowed_uses=["digital_signature", "key_encipherment", "server_auth"],
            set_subject_key_id=True,
            opts=self._renewed(args, subject.used_days),
        )
        self.certificate = certificate.cert_pem
        self.private_key = pulumi.Output.secret(key.private_key_pem)
        self.authority = authority.cert_pem
        issued = subject.mode == "letsEncrypt"
        others = [subject.acme_authority or ""] if issued else []
        self.trust = _trust([authority.cert_pem, *others], system=issued)

    def _renewed(self, args: CertificateArgs, after_days: int) -> pulumi.ResourceOptions:
        """A new period replaces a resource, and so does another rotation."""
        period = renewal_period(today(), after_days)
        rotation = args.settings.rotation.certificate_key
        trigger = f"{period} {rotation}" if rotation else period
        return pulumi.ResourceOptions(parent=self, replacement_trigger=trigger)

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
                "organization": args.settings.certificate.organization,
            },
            # Another name would be another authority, which no device trusts yet.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["subject"]),
        )

    def _request(self, args: CertificateArgs, key: tls.PrivateKey) -> tls.CertRequest:
        host, subject = pulumi.Output.from_input(args.host), args.settings.certificate
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


def _trust(authorities: Sequence[pulumi.Input[str]], *, system: bool = False) -> Any:
    return pulumi.Output.from_input(
        {"system": system, "authorities": pulumi.Output.concat(*authorities)}
    )


def _checked_for(chain: str, host: str) -> str:
    """The chain, if it is for the host: a preview may not know the address yet."""
    [leaf, *_] = provided.parse_chain(chain)
    if not provided.covers(leaf, host):
        raise pulumi.RunError(
            f"ollamazure:certificate.chain is for {', '.join(provided.names_of(leaf))}, not for "
            f"{host}: set ollamazure:domain to a name that it is for, or use another certificate."
        )
    return chain


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
    """SHA-256 of the DER form of the first certificate in PEM, as `AB:CD:…`."""
    end = "-----END CERTIFICATE-----\n"
    pem = pem.partition(end)[0] + end
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
