"""Clocks that are a day off, and certificates outside their time.

The kernel's clock is the host's, which no test sets. libfaketime shows programs another time: the
operator's, the ACME client, Nginx and Open WebUI. It does not reach programs in Go (Ollama, Podman,
restic, rclone); backups of the future are in tests/unit/guest/backup/test_repository.py.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.e2e.deployment import Deployment, wait_until
from tests.e2e.kept import Kept
from tests.e2e.test_certificates import (
    ACME_CLIENT,
    NAME,
    authorities,
    issuer,
    lets_encrypt,
    serials,
)
from tests.e2e.test_operations import run
from tests.tiers import first_of

__all__ = ["authorities"]  # a fixture
SERVER = "/etc/nginx/cert/server.pem"
DAY = timedelta(days=1)
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
INSTALL = "sudo apt-get --quiet update && sudo DEBIAN_FRONTEND=noninteractive apt-get --quiet"
INSTALL += " install --yes --no-install-recommends faketime"
# Waits are by the monotonic clock, which no one sets.
CONTAINER = """[Container]
Volume=/usr/local/lib/faketime:/usr/local/lib/faketime:ro
Environment=LD_PRELOAD=/usr/local/lib/faketime/library.so
Environment=FAKETIME_DONT_FAKE_MONOTONIC=1
Environment=FAKETIME="""
# Images have an older C library than the machine, so they get the library of this host.
COPY = "base64 --decode | sudo install -D -m 0755 /dev/stdin /usr/local/lib/faketime/library.so"


@contextmanager
def certificate(deployment: Deployment, starts: timedelta, ends: timedelta) -> Iterator[None]:
    """Let Nginx have a certificate of the stack's authority that starts and ends then."""
    former = deployment.ssh(f"sudo cat {SERVER}").output
    own = x509.load_pem_x509_certificate(former.encode())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(extensions=[*own.extensions])
        .subject_name(own.subject)
        .issuer_name(own.issuer)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
    )
    signed = builder.sign(authority_key(deployment), hashes.SHA256())
    key = former[former.index("-----BEGIN", former.index("-----END")) :]
    try:
        install(deployment, signed.public_bytes(Encoding.PEM).decode() + key)
        yield
    finally:
        install(deployment, former)


def authority_key(deployment: Deployment) -> Any:
    exported = json.loads(deployment.pulumi("stack", "export", "--show-secrets").output)
    [key] = [
        resource["outputs"]["privateKeyPem"]
        for resource in exported["deployment"]["resources"]
        if resource["urn"].endswith("::certificate-authority-key")
    ]
    return load_pem_private_key(json.loads(key["plaintext"]).encode(), None)


def install(deployment: Deployment, pem: str) -> None:
    deployment.ssh(f"sudo tee {SERVER} >/dev/null && sudo systemctl reload nginx", stdin=pem)


@pytest.mark.parametrize(
    ("starts", "ends", "chat", "words"),
    first_of(
        [
            (-90 * DAY, -DAY, "has expired", "The certificate expired on "),
            (DAY, 90 * DAY, "is not valid yet", "The certificate is not valid before "),
            (-90 * DAY, DAY, "", "The certificate expires on "),
        ]
    ),
)
def test_a_certificate_outside_its_time_is_named(
    deployment: Deployment, starts: timedelta, ends: timedelta, chat: str, words: str
) -> None:
    with certificate(deployment, starts, ends):
        wait_until(lambda: words in run(deployment, "status").output, "the certificate")
        shown = run(deployment, "status")
        assert shown.code == 1
        assert f"\n{words}" in shown.output
        asked = deployment.last_check()
        assert asked.code == 1
        if chat:
            assert f"\nThe chat shows a certificate that {chat}." in shown.output
            assert f"{chat}." in asked.output
            expired = "has expired: `bin/ollamazure status`" in run(deployment, "drift").output
            assert expired == (chat == "has expired")
            assert "Check the clock of the computer that asks." in asked.output
    wait_until(lambda: run(deployment, "status").code == 0, "the former certificate")


@pytest.mark.parametrize(("offset", "relation"), first_of([("-1d", "ahead of"), ("+1d", "behind")]))
def test_status_compares_the_clocks(deployment: Deployment, offset: str, relation: str) -> None:
    shown = run(deployment, "status", within=["faketime", "-f", offset])
    assert shown.code == 1
    assert re.search(rf"\nThe machine's clock is 2[34] hours {relation} this", shown.output)


@contextmanager
def clock_of(deployment: Deployment, service: str, offset: str) -> Iterator[None]:
    """Let the container of the service have another time."""
    folder = f"/etc/containers/systemd/{service}.container.d"
    restart = f"sudo systemctl daemon-reload && sudo systemctl restart {service}"
    deployment.ssh(COPY, stdin=base64.b64encode(LIBRARY.read_bytes()).decode())
    deployment.ssh(
        f"sudo install -D /dev/stdin {folder}/clock.conf", stdin=f"{CONTAINER}{offset}\n"
    )
    try:
        deployment.ssh(restart)
        wait_until(lambda: is_open(deployment), f"the chat with {service} {offset}")
        yield
    finally:
        deployment.ssh(f"sudo rm -r {folder} && {restart}")
        wait_until(lambda: is_open(deployment), "the chat with the right clock")


def is_open(deployment: Deployment) -> bool:
    with deployment.client() as client:
        return client.get("/ready").status_code == 200


@pytest.mark.long
@pytest.mark.parametrize("offset", ["+1d", "-1d"])
@pytest.mark.parametrize("service", ["open-webui", "nginx"])
def test_a_service_a_day_off_serves_and_loses_nothing(
    deployment: Deployment, service: str, offset: str
) -> None:
    """A session from before holds, or the user signs in again; after the clock is right, too."""
    kept = Kept.by(deployment)
    before = kept.of(deployment)
    with clock_of(deployment, service, offset):
        date = deployment.ssh(f"sudo podman exec {service} date +%s").output
        assert abs(abs(int(date) - datetime.now(UTC).timestamp()) - 86400) < 3600
        deployment.forget()
        assert kept.of(deployment) == before
        assert deployment.ask("Hello?")
        during = Kept.by(deployment)
        assert deployment.last_check().code == 0
        assert run(deployment, "status").code == 0
    deployment.forget()
    assert kept.of(deployment) == before
    assert during.of(deployment)[0][0] == "Kept"
    assert deployment.ask("Hello?")
    assert run(deployment, "drift").code == 0


@pytest.mark.long
def test_the_acme_client_a_day_off_keeps_the_certificate(
    deployment: Deployment, authorities: str
) -> None:
    deployment.ssh(INSTALL)
    before = serials(deployment)
    deployment.up(domain=NAME, **lets_encrypt(authorities))
    for offset in ("-1d", "+1d"):
        client = ACME_CLIENT.replace("sudo ", f"sudo faketime -f {offset} ")
        deployment.ssh(f"{client} run")
        assert serials(deployment) == before + 1
        assert "Pebble" in issuer(deployment, authorities)
        deployment.ssh(f"{client} now")
        before += 1
        assert serials(deployment) == before + 1
        assert "Pebble" in issuer(deployment, authorities)
    deployment.ssh(f"{ACME_CLIENT} run")
    assert serials(deployment) == before + 1
    assert "Pebble" in issuer(deployment, authorities)
