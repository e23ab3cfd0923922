"""Keys and certificates, read by the tools of OpenSSL and OpenSSH."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from emulator.offline.inputs import InvalidInputsError
from emulator.offline.tls import CertRequest, LocallySignedCert, PrivateKey, SelfSignedCert
from emulator.plugins.provider import FailedError
from emulator.plugins.values import Properties

pytestmark = pytest.mark.unit


def key(**inputs: Any) -> Properties:
    kind = PrivateKey()
    return kind.generate(kind.complete(kind.check(inputs)))[1]


def certificate(pem: str, **inputs: Any) -> x509.Certificate:
    asked = {"privateKeyPem": pem, "allowedUses": ["server_auth"], "validityPeriodHours": 1}
    kind = SelfSignedCert()
    checked = kind.complete(kind.check(asked | inputs))
    checked["privateKeyPem"] = pem
    return x509.load_pem_x509_certificate(kind.generate(checked)[1]["certPem"].encode())


@pytest.mark.parametrize(
    ("inputs", "header"),
    [
        ({"algorithm": "RSA"}, "BEGIN RSA PRIVATE KEY"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P384"}, "BEGIN EC PRIVATE KEY"),
        ({"algorithm": "ED25519"}, "BEGIN PRIVATE KEY"),
    ],
)
def test_every_form_of_a_key_is_the_same_key(
    tmp_path: Path, inputs: dict[str, Any], header: str
) -> None:
    values = key(**inputs)
    assert header in values["privateKeyPem"]
    assert "BEGIN PRIVATE KEY" in values["privateKeyPemPkcs8"]
    for form in ("privateKeyPem", "privateKeyPemPkcs8"):
        public = subprocess.run(
            ["openssl", "pkey", "-pubout"],
            input=values[form],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert public == values["publicKeyPem"]
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(values["privateKeyOpenssh"])
    command = ["ssh-keygen", "-y", "-f", str(file)]
    public = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert public.split()[:2] == values["publicKeyOpenssh"].split()
    for kind, name in (("md5", "Md5"), ("sha256", "Sha256")):
        command = ["ssh-keygen", "-l", "-E", kind, "-f", str(file)]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert values[f"publicKeyFingerprint{name}"] in listed


def test_the_default_curve_is_unknown_to_openssh() -> None:
    values = key(algorithm="ECDSA")
    assert values["privateKeyOpenssh"] == values["publicKeyOpenssh"] == ""
    assert load_pem_private_key(values["privateKeyPem"].encode(), None)


@pytest.mark.parametrize(
    ("algorithm", "curve", "digest"),
    [
        ("RSA", "P224", "sha256"),
        ("ECDSA", "P256", "sha256"),
        ("ECDSA", "P521", "sha512"),
        ("ED25519", "P224", None),
    ],
)
def test_a_certificate_is_signed_by_its_key(algorithm: str, curve: str, digest: str | None) -> None:
    made = certificate(key(algorithm=algorithm, ecdsaCurve=curve)["privateKeyPem"])
    made.verify_directly_issued_by(made)
    used = made.signature_hash_algorithm
    assert (used.name if used else None) == digest


def test_the_extensions_of_a_certificate() -> None:
    pem = key(algorithm="ED25519")["privateKeyPem"]
    plain = certificate(pem)
    assert {extension.oid._name for extension in plain.extensions} == {
        "extendedKeyUsage",
        "basicConstraints",
    }
    full = certificate(
        pem,
        allowedUses=["cert_signing", "client_auth"],
        isCaCertificate=True,
        maxPathLength=1,
        setAuthorityKeyId=True,
        uris=["https://example.org/"],
    )
    found = full.extensions
    basic = found.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 1)
    assert found.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    subject = found.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    authority = found.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier == subject


def request(pem: str, **inputs: Any) -> str:
    kind = CertRequest()
    checked = kind.complete(kind.check({"privateKeyPem": pem} | inputs))
    return str(kind.generate(checked | {"privateKeyPem": pem})[1]["certRequestPem"])


def signed(**inputs: Any) -> x509.Certificate:
    asked = {"allowedUses": ["server_auth"], "validityPeriodHours": 1, "setSubjectKeyId": True}
    kind = LocallySignedCert()
    checked = kind.complete(kind.check(asked | inputs))
    made = kind.generate(checked | {"caPrivateKeyPem": inputs["caPrivateKeyPem"]})[1]
    return x509.load_pem_x509_certificate(made["certPem"].encode())


def test_a_certificate_is_signed_by_an_authority(tmp_path: Path) -> None:
    authority_key = key(algorithm="ECDSA", ecdsaCurve="P384")["privateKeyPem"]
    authority = certificate(
        authority_key,
        allowedUses=["cert_signing"],
        isCaCertificate=True,
        maxPathLength=0,
        subject={"commonName": "an authority"},
    )
    pem = authority.public_bytes(Encoding.PEM).decode()
    asked = request(
        key(algorithm="RSA")["privateKeyPem"],
        subject={"commonName": "chat.example.org", "country": "FR"},
        dnsNames=["chat.example.org"],
        ipAddresses=["127.20.0.4"],
    )
    leaf = signed(certRequestPem=asked, caCertPem=pem, caPrivateKeyPem=authority_key)
    assert leaf.subject == x509.load_pem_x509_csr(asked.encode()).subject
    assert leaf.signature_hash_algorithm is not None
    assert leaf.signature_hash_algorithm.name == "sha384"  # by the authority's key
    (tmp_path / "authority.pem").write_text(pem)
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]
    for name in (["-verify_hostname", "chat.example.org"], ["-verify_ip", "127.20.0.4"]):
        files = [str(tmp_path / "authority.pem"), *name, str(tmp_path / "leaf.pem")]
        subprocess.run([*verify, *files], check=True, capture_output=True)
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "basicConstraints"],
        input=pem,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "CA:TRUE, pathlen:0" in shown


def test_an_authority_with_another_key_signs_nothing() -> None:
    mine, other = (key(algorithm="ED25519")["privateKeyPem"] for _ in range(2))
    pem = certificate(mine, isCaCertificate=True).public_bytes(Encoding.PEM).decode()
    with pytest.raises(FailedError, match="caPrivateKeyPem: not the key of caCertPem"):
        signed(certRequestPem=request(mine), caCertPem=pem, caPrivateKeyPem=other)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"ipAddresses": ["not one"]}, "'not one' is not an IP address"),
        ({"allowedUses": ["serving"]}, "'serving' is not a key usage"),
        ({"validityPeriodHours": -1}, "-1 is less than 0"),
        ({"subject": {"commonname": "x"}}, "unexpected argument 'commonname'"),
    ],
)
def test_what_a_certificate_refuses(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputsError, match=message):
        certificate("irrelevant", **inputs)


def test_a_key_that_is_none() -> None:
    with pytest.raises(FailedError, match="privateKeyPem: not an unencrypted private key"):
        certificate("-----BEGIN NONSENSE-----")
