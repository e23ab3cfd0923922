"""What a machine is given so that it finds and trusts the storage accounts."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from emulator.host.services import connect_machine, make_blob_certificates


def machine(folder: Path) -> Path:
    root = folder / "root"
    (root / "etc/ssl/certs").mkdir(parents=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n10.0.0.1 mirrors.internal\n")
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("the public authorities\n")
    return root


def test_a_machine_finds_the_accounts_and_trusts_them_once(tmp_path: Path) -> None:
    root, certificates = machine(tmp_path), tmp_path / "certificates"
    make_blob_certificates(certificates)
    for _ in range(2):
        connect_machine(root, "10.0.0.1", ["first", "second"], certificates)
    hosts = (root / "etc/hosts").read_text().splitlines()
    assert hosts[:2] == ["127.0.0.1 localhost", "10.0.0.1 mirrors.internal"]
    assert [line.split()[:2] for line in hosts[2:]] == [
        ["10.0.0.1", "first.blob.core.windows.net"],
        ["10.0.0.1", "second.blob.core.windows.net"],
    ]
    bundle = (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert bundle == "the public authorities\n" + (certificates / "authority.pem").read_text()

    connect_machine(root, "10.0.0.1", [], certificates)
    assert (root / "etc/hosts").read_text().splitlines() == hosts[:2]


def test_a_machine_without_accounts_trusts_no_one_else(tmp_path: Path) -> None:
    root = machine(tmp_path)
    connect_machine(root, "10.0.0.1", [], tmp_path / "certificates")
    assert not (root / "usr/local/share/ca-certificates").exists()


def test_the_authority_is_for_blobs_only(tmp_path: Path) -> None:
    make_blob_certificates(tmp_path)
    authority = x509.load_pem_x509_certificate((tmp_path / "authority.pem").read_bytes())
    server = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    server.verify_directly_issued_by(authority)
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    assert limits.permitted_subtrees == [x509.DNSName("blob.core.windows.net")]
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.blob.core.windows.net"]
    assert not list(tmp_path.glob("authority.key")), "no one can issue another certificate"
    former = (tmp_path / "server.pem").read_text()
    make_blob_certificates(tmp_path)
    assert (tmp_path / "server.pem").read_text() == former
