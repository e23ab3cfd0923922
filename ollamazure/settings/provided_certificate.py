"""A certificate from the settings: reads it, and finds what keeps a server from using it.

No message contains a part of the key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from ollamazure.settings.stack import Settings

LEAST_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")
WEAK_HASHES = (hashes.MD5, hashes.SHA1)
SOON = timedelta(days=30)
# From a file, longer ones are something else.
LARGEST_FILE = 1 << 20


class UnusableError(Exception):
    """A part that cannot be read; the message continues "… is not allowed: "."""


def chain_text(settings: Settings) -> str:
    """The certificate with its chain, in PEM.

    Raises:
        UnusableError: the file cannot be read.
    """
    certificate = settings.certificate
    return certificate.chain or _read(certificate.chain_file or "")


def key_text(settings: Settings) -> str:
    """The certificate's key, in PEM.

    Raises:
        UnusableError: the file cannot be read.
    """
    if settings.certificate_key:
        return settings.certificate_key.get_secret_value()
    return _read(settings.certificate.key_file or "")


def _read(name: str) -> str:
    try:
        with Path(name).open(encoding="ascii") as file:
            return file.read(LARGEST_FILE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in PEM"
        raise UnusableError(f"the file cannot be read ({reason})") from None


def parse_chain(text: str) -> list[x509.Certificate]:
    """The certificates.

    Raises:
        UnusableError: there are none, or there is a key among them.
    """
    if "PRIVATE KEY" in text:
        raise UnusableError("it has a private key, which belongs into certificateKey or keyFile")
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise UnusableError("it is not a certificate in PEM") from None


def parse_key(text: str) -> Any:
    """The private key.

    Raises:
        UnusableError: it is none, or has a passphrase.
    """
    try:
        return load_pem_private_key(text.encode(), None)
    except TypeError:
        raise UnusableError("it has a passphrase, which Nginx could not enter") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableError("it is not a private key in PEM") from None


def faults_of_chain(
    chain: Sequence[x509.Certificate], name: str | None, now: datetime
) -> Iterator[str]:
    """What keeps a server for `name` (None: not known yet) from using the chain."""
    leaf = chain[0]
    if _is_authority(leaf):
        others = any(not _is_authority(each) for each in chain)
        yield (
            "its first certificate is that of an authority; "
            + ("the server's comes first" if others else "the server's is missing")
        )
    elif name and not covers(leaf, name):
        yield f"it is for {', '.join(names_of(leaf)) or 'no name'}, not for {name}"
    usage = _extension(leaf, x509.ExtendedKeyUsage)
    if usage and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        yield "it is not for a server (serverAuth)"
    for number, each in enumerate(chain, 1):
        yield from (f"certificate {number} {fault}" for fault in _faults_of_one(each, now))
    for number, (each, signer) in enumerate(pairwise(chain), 1):
        if not _signed_by(each, signer):
            yield (
                f"certificate {number + 1} did not sign certificate {number}; the order is the "
                "server's, then each signer"
            )


def _faults_of_one(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    if certificate.not_valid_after_utc < now:
        yield f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        yield f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < LEAST_RSA_BITS:
            yield f"has a weak key (RSA with {public.key_size} bits, at least {LEAST_RSA_BITS})"
    elif not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in CURVES:
        yield "has a kind of key that browsers do not support; RSA or ECDSA with P-256 works"
    # Nothing relies on the signature of a root.
    is_root = certificate.issuer == certificate.subject
    if isinstance(certificate.signature_hash_algorithm, WEAK_HASHES) and not is_root:
        yield f"has a weak signature ({certificate.signature_hash_algorithm.name})"


def fault_of_key(key: Any, leaf: x509.Certificate) -> str | None:
    """Why a key does not belong to the server's certificate; None if it does."""
    if key.public_key() != leaf.public_key():
        return "it is not the key of the certificate"
    return None


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for a name, as browsers decide it."""
    wanted = name.lower()
    parent = wanted.partition(".")[2]
    address = _address(wanted)
    for held in names_of(certificate):
        if address is not None:
            matches = _address(held) == address
        else:
            # A star stands for exactly one label, the first.
            matches = held.lower() == wanted or (
                held.startswith("*.") and "." in parent and held[2:].lower() == parent
            )
        if matches:
            return True
    return False


def names_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that a certificate is for."""
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is None:
        return []
    return [
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]


def ends_soon(chain: Sequence[x509.Certificate], now: datetime | None = None) -> datetime | None:
    """The end of the chain's validity if it is near."""
    ends = min(each.not_valid_after_utc for each in chain)
    return ends if ends - (now or datetime.now(UTC)) < SOON else None


def _is_authority(certificate: x509.Certificate) -> bool:
    basic = _extension(certificate, x509.BasicConstraints)
    return bool(basic and basic.ca)


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
