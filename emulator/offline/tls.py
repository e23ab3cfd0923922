"""A stand-in for pulumi-tls 5.6.2: keys, certificate requests and certificates.

Nearly every input replaces. The official plugin may renew a certificate by itself within its early
renewal hours (its issue 39); this one never does.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from emulator.offline.inputs import InputType, InvalidInputsError
from emulator.offline.resources import GeneratedResource, PluginResource, StandIn
from emulator.plugins.provider import FailedError, serve
from emulator.plugins.values import UNKNOWN, Properties, reveal

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    AnyKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

VERSION = "5.6.2"


class PrivateKey(GeneratedResource):
    inputs: ClassVar[Mapping[str, InputType]] = {
        "algorithm": InputType("string", required=True, replaces=True),
        "rsaBits": InputType("integer", assumed=2048, replaces=True),
        "ecdsaCurve": InputType("string", assumed="P224", replaces=True),
    }
    outputs: ClassVar[Mapping[str, bool]] = {
        "privateKeyPem": True,
        "privateKeyPemPkcs8": True,
        "privateKeyOpenssh": True,
        "publicKeyPem": False,
        "publicKeyOpenssh": False,
        "publicKeyFingerprintMd5": False,
        "publicKeyFingerprintSha256": False,
    }
    schema_version = 1

    def check(self, given: Properties) -> Properties:
        inputs = super().check(given)
        allowed = {
            "algorithm": ("RSA", "ECDSA", "ED25519"),
            "ecdsaCurve": ("P224", "P256", "P384", "P521"),
        }
        for name, values in allowed.items():
            value = reveal(inputs.get(name))
            if value is not None and value is not UNKNOWN and value not in values:
                raise InvalidInputsError((name, f"{value!r} is not one of {', '.join(values)}"))
        return inputs

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        return _make_key(inputs)


def _make_key(inputs: Properties) -> tuple[str, Properties]:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    key: AnyKey
    if inputs["algorithm"] == "RSA":
        key = rsa.generate_private_key(65537, inputs["rsaBits"])
    elif inputs["algorithm"] == "ECDSA":
        curves: Mapping[str, type[ec.EllipticCurve]] = {
            "P224": ec.SECP224R1,
            "P256": ec.SECP256R1,
            "P384": ec.SECP384R1,
            "P521": ec.SECP521R1,
        }
        key = ec.generate_private_key(curves[inputs["ecdsaCurve"]]())
    else:
        key = ed25519.Ed25519PrivateKey.generate()

    pem, plainly = serialization.Encoding.PEM, serialization.NoEncryption()
    formats = serialization.PrivateFormat
    former = formats.PKCS8 if inputs["algorithm"] == "ED25519" else formats.TraditionalOpenSSL
    public = key.public_key()
    pkix = serialization.PublicFormat.SubjectPublicKeyInfo
    values: Properties = {
        "privateKeyPem": key.private_bytes(pem, former, plainly).decode(),
        "privateKeyPemPkcs8": key.private_bytes(pem, formats.PKCS8, plainly).decode(),
        "privateKeyOpenssh": "",
        "publicKeyPem": public.public_bytes(pem, pkix).decode(),
        "publicKeyOpenssh": "",
        "publicKeyFingerprintMd5": "",
        "publicKeyFingerprintSha256": "",
    }
    # OpenSSH has no keys on P-224.
    if not (inputs["algorithm"] == "ECDSA" and inputs["ecdsaCurve"] == "P224"):
        values |= _openssh(key)
    identity = hashlib.sha1(  # noqa: S324 -- a name, as the official plugin gives it
        public.public_bytes(serialization.Encoding.DER, pkix)
    ).hexdigest()
    return identity, values


def _openssh(key: AnyKey) -> Properties:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import MD5, SHA256  # noqa: PLC0415

    public = key.public_key()
    line = public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()
    md5 = serialization.ssh_key_fingerprint(public, MD5()).hex(":")  # noqa: S303
    sha256 = base64.b64encode(serialization.ssh_key_fingerprint(public, SHA256())).decode()
    return {
        "privateKeyOpenssh": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ).decode(),
        "publicKeyOpenssh": f"{line}\n",
        "publicKeyFingerprintMd5": md5,
        "publicKeyFingerprintSha256": f"SHA256:{sha256.rstrip('=')}",
    }


# Key usages and extended key usages, by the names in `allowedUses`.
_KEY_USAGES: Mapping[str, str] = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
    "encipher_only": "encipher_only",
    "decipher_only": "decipher_only",
}
_EXTENDED_USAGES: Mapping[str, str] = {
    "any_extended": "2.5.29.37.0",
    "server_auth": "1.3.6.1.5.5.7.3.1",
    "client_auth": "1.3.6.1.5.5.7.3.2",
    "code_signing": "1.3.6.1.5.5.7.3.3",
    "email_protection": "1.3.6.1.5.5.7.3.4",
    "ipsec_end_system": "1.3.6.1.5.5.7.3.5",
    "ipsec_tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec_user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp_signing": "1.3.6.1.5.5.7.3.9",
    "microsoft_server_gated_crypto": "1.3.6.1.4.1.311.10.3.3",
    "microsoft_commercial_code_signing": "1.3.6.1.4.1.311.2.1.22",
    "microsoft_kernel_code_signing": "1.3.6.1.4.1.311.61.1.1",
    "netscape_server_gated_crypto": "2.16.840.1.113730.4.1",
}

# The subject's fields in their order in the name, with their object ids.
_SUBJECT: Mapping[str, str] = {
    "country": "2.5.4.6",
    "organization": "2.5.4.10",
    "organizationalUnit": "2.5.4.11",
    "locality": "2.5.4.7",
    "province": "2.5.4.8",
    "streetAddresses": "2.5.4.9",
    "postalCode": "2.5.4.17",
    "commonName": "2.5.4.3",
    "serialNumber": "2.5.4.5",
    "emailAddress": "1.2.840.113549.1.9.1",
}


_PRIVATE_KEY = InputType("string", required=True, replaces=True, secret=True)
# What a certificate is for: the holder's name, and its other names.
_HOLDER: Mapping[str, InputType] = {
    "subject": InputType(
        {name: InputType("list" if name == "streetAddresses" else "string") for name in _SUBJECT},
        replaces=True,
    ),
    "dnsNames": InputType("list", replaces=True),
    "ipAddresses": InputType("list", replaces=True),
    "uris": InputType("list", replaces=True),
}
# What the signer decides.
_SIGNED: Mapping[str, InputType] = {
    "allowedUses": InputType("list", required=True, replaces=True),
    "validityPeriodHours": InputType("integer", required=True, replaces=True),
    "earlyRenewalHours": InputType("integer", assumed=0),
    "isCaCertificate": InputType("boolean", assumed=False, replaces=True),
    "maxPathLength": InputType("integer", replaces=True),
    "setSubjectKeyId": InputType("boolean", assumed=False, replaces=True),
}
_CERTIFICATE: Mapping[str, bool] = {
    "certPem": False,
    "readyForRenewal": False,
    "validityStartTime": False,
    "validityEndTime": False,
}


class CertRequest(GeneratedResource):
    inputs: ClassVar[Mapping[str, InputType]] = {"privateKeyPem": _PRIVATE_KEY, **_HOLDER}
    outputs: ClassVar[Mapping[str, bool]] = {"certRequestPem": False, "keyAlgorithm": False}

    def check(self, given: Properties) -> Properties:
        inputs = super().check(given)
        _refuse(_wrong_addresses(reveal(inputs)))
        return inputs

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        return _request(inputs)


class SelfSignedCert(GeneratedResource):
    inputs: ClassVar[Mapping[str, InputType]] = {
        "privateKeyPem": _PRIVATE_KEY,
        **_HOLDER,
        **_SIGNED,
        "setAuthorityKeyId": InputType("boolean", assumed=False, replaces=True),
    }
    outputs: ClassVar[Mapping[str, bool]] = {**_CERTIFICATE, "keyAlgorithm": False}

    def check(self, given: Properties) -> Properties:
        inputs = super().check(given)
        known = reveal(inputs)
        _refuse([*_wrong_uses(known), *_wrong_addresses(known)])
        return inputs

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        return _sign_itself(inputs)


class LocallySignedCert(GeneratedResource):
    inputs: ClassVar[Mapping[str, InputType]] = {
        "certRequestPem": InputType("string", required=True, replaces=True),
        "caCertPem": InputType("string", required=True, replaces=True),
        "caPrivateKeyPem": _PRIVATE_KEY,
        **_SIGNED,
    }
    outputs: ClassVar[Mapping[str, bool]] = {**_CERTIFICATE, "caKeyAlgorithm": False}

    def check(self, given: Properties) -> Properties:
        inputs = super().check(given)
        _refuse(_wrong_uses(reveal(inputs)))
        return inputs

    def generate(self, inputs: Properties) -> tuple[str, Properties]:
        return _sign_request(inputs)


def _refuse(wrong: list[tuple[str, str]]) -> None:
    if wrong:
        raise InvalidInputsError(*wrong)


def _wrong_uses(known: Properties) -> list[tuple[str, str]]:
    wrong = [
        (f"allowedUses[{index}]", f"{use!r} is not a key usage that is known")
        for index, use in enumerate(_known_values(known["allowedUses"]))
        if use not in _KEY_USAGES and use not in _EXTENDED_USAGES
    ]
    hours = known["validityPeriodHours"]
    if isinstance(hours, int) and hours < 0:
        wrong.append(("validityPeriodHours", f"{hours} is less than 0"))
    return wrong


def _wrong_addresses(known: Properties) -> list[tuple[str, str]]:
    return [
        (f"ipAddresses[{index}]", f"{address!r} is not an IP address")
        for index, address in enumerate(_known_values(known.get("ipAddresses")))
        if not _is_address(address)
    ]


def _known_values(values: Any) -> list[Any]:
    """The values that a preview knows."""
    return [value for value in values if value is not UNKNOWN] if isinstance(values, list) else []


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _load_key(inputs: Properties, name: str) -> Any:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        return serialization.load_pem_private_key(inputs[name].encode(), None)
    except (ValueError, TypeError):
        raise FailedError(f"{name}: not an unencrypted private key in PEM") from None


def _algorithm(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415

    algorithms = {rsa.RSAPrivateKey: "RSA", ec.EllipticCurvePrivateKey: "ECDSA"}
    return next((name for kind, name in algorithms.items() if isinstance(key, kind)), "ED25519")


def _request(inputs: Properties) -> tuple[str, Properties]:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    key = _load_key(inputs, "privateKeyPem")
    builder = x509.CertificateSigningRequestBuilder(_name(inputs.get("subject", {})))
    if alternatives := _alternatives(inputs):
        builder = builder.add_extension(alternatives, False)
    request = builder.sign(key, _digest(key))
    der = request.public_bytes(serialization.Encoding.DER)
    identity = hashlib.sha1(der).hexdigest()  # noqa: S324 -- a name, as the official plugin's
    return identity, {
        "certRequestPem": request.public_bytes(serialization.Encoding.PEM).decode(),
        "keyAlgorithm": _algorithm(key),
    }


def _sign_itself(inputs: Properties) -> tuple[str, Properties]:
    from cryptography import x509  # noqa: PLC0415

    key = _load_key(inputs, "privateKeyPem")
    name = _name(inputs.get("subject", {}))
    extensions = _extensions(inputs, key.public_key())
    if inputs["setAuthorityKeyId"]:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        extensions.append((identifier, False))
    if alternatives := _alternatives(inputs):
        extensions.append((alternatives, False))
    identity, values = _sign(
        inputs, name=name, issuer=name, public=key.public_key(), key=key, extensions=extensions
    )
    return identity, values | {"keyAlgorithm": _algorithm(key)}


def _sign_request(inputs: Properties) -> tuple[str, Properties]:
    from cryptography import x509  # noqa: PLC0415

    key = _load_key(inputs, "caPrivateKeyPem")
    request = _parse(inputs, "certRequestPem", x509.load_pem_x509_csr)
    authority = _parse(inputs, "caCertPem", x509.load_pem_x509_certificate)
    if authority.public_key() != key.public_key():
        raise FailedError("caPrivateKeyPem: not the key of caCertPem")
    extensions = _extensions(inputs, request.public_key())
    # As Go does: it names the issuer's key if the issuer's certificate has an identifier.
    for held in authority.extensions:
        if isinstance(held.value, x509.SubjectKeyIdentifier):
            identifier = x509.AuthorityKeyIdentifier(held.value.digest, None, None)
            extensions.append((identifier, False))
    for held in request.extensions:
        if isinstance(held.value, x509.SubjectAlternativeName):
            extensions.append((held.value, False))
    identity, values = _sign(
        inputs,
        name=request.subject,
        issuer=authority.subject,
        public=request.public_key(),
        key=key,
        extensions=extensions,
    )
    return identity, values | {"caKeyAlgorithm": _algorithm(key)}


def _parse(inputs: Properties, name: str, load: Callable[[bytes], Any]) -> Any:
    try:
        return load(inputs[name].encode())
    except ValueError:
        raise FailedError(f"{name}: not what it has to be, in PEM") from None


def _sign(  # noqa: PLR0913  what a certificate is made of
    inputs: Properties,
    *,
    name: x509.Name,
    issuer: x509.Name,
    public: Any,
    key: Any,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> tuple[str, Properties]:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    start = datetime.now(UTC).replace(microsecond=0)
    end = start + timedelta(hours=inputs["validityPeriodHours"])
    serial = x509.random_serial_number()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signed = builder.sign(key, _digest(key))
    return str(serial), {
        "certPem": signed.public_bytes(serialization.Encoding.PEM).decode(),
        "readyForRenewal": False,
        "validityStartTime": start.isoformat().replace("+00:00", "Z"),
        "validityEndTime": end.isoformat().replace("+00:00", "Z"),
    }


def _name(subject: Properties) -> x509.Name:
    from cryptography import x509  # noqa: PLC0415

    attributes = []
    for field, oid in _SUBJECT.items():
        values = subject.get(field) or []
        for value in [values] if isinstance(values, str) else values:
            attributes.append(x509.NameAttribute(x509.ObjectIdentifier(oid), value))
    return x509.Name(attributes)


def _extensions(inputs: Properties, public: Any) -> list[tuple[x509.ExtensionType, bool]]:
    """The extensions that the signer decides, each with whether it is critical."""
    from cryptography import x509  # noqa: PLC0415

    uses = inputs["allowedUses"]
    found: list[tuple[x509.ExtensionType, bool]] = []
    if any(use in _KEY_USAGES for use in uses):
        flags = {flag: use in uses for use, flag in _KEY_USAGES.items()}
        found.append((x509.KeyUsage(**flags), True))
    extended = [x509.ObjectIdentifier(oid) for use, oid in _EXTENDED_USAGES.items() if use in uses]
    if extended:
        found.append((x509.ExtendedKeyUsage(extended), False))
    authority = inputs["isCaCertificate"]
    length = inputs.get("maxPathLength") if authority else None
    found.append((x509.BasicConstraints(ca=authority, path_length=length), True))
    if authority or inputs["setSubjectKeyId"]:
        found.append((x509.SubjectKeyIdentifier.from_public_key(public), False))
    return found


def _alternatives(inputs: Properties) -> x509.SubjectAlternativeName | None:
    """The other names of the holder; None if there are none."""
    from cryptography import x509  # noqa: PLC0415

    names: list[x509.GeneralName] = [
        *(x509.DNSName(name) for name in inputs.get("dnsNames", [])),
        *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in inputs.get("ipAddresses", [])),
        *(x509.UniformResourceIdentifier(uri) for uri in inputs.get("uris", [])),
    ]
    return x509.SubjectAlternativeName(names) if names else None


def _digest(key: Any) -> Any:
    """The hash for a key's signature: none for Ed25519, by the curve's size for ECDSA."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size == 384 else hashes.SHA512()
    return hashes.SHA256()


RESOURCES: Mapping[str, PluginResource] = {
    "tls:index/privateKey:PrivateKey": PrivateKey(),
    "tls:index/certRequest:CertRequest": CertRequest(),
    "tls:index/selfSignedCert:SelfSignedCert": SelfSignedCert(),
    "tls:index/locallySignedCert:LocallySignedCert": LocallySignedCert(),
}

if __name__ == "__main__":
    serve(partial(StandIn, VERSION, RESOURCES))
