"""Certificates as browsers and clients of the chat see them."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from tests.e2e.deployment import Deployment

NAME = "chat.example.test"
# The handshake of the WebSocket that carries the answers; Engine.IO's first packet starts with 0.
WEBSOCKET = """
() => new Promise((resolve, reject) => {
    const socket = new WebSocket(
        `wss://${location.host}/ws/socket.io/?EIO=4&transport=websocket`);
    socket.onmessage = (message) => resolve(message.data);
    socket.onerror = () => reject(new Error("no WebSocket"));
})
"""


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a Chromium that trusts what the profile of its user trusts."""
    (tmp_path / ".pki/nssdb").mkdir(parents=True)
    environment = {**os.environ, "HOME": str(tmp_path)}
    # Before Chromium creates the database, which would then ask for a password.
    certutil(environment, "-N", "--empty-password")
    yield environment


def certutil(environment: dict[str, str], *arguments: str) -> None:
    database = f"sql:{environment['HOME']}/.pki/nssdb"
    command = ["certutil", "-d", database, *arguments]
    subprocess.run(
        command,
        check=True,
        env=environment,
        timeout=60,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def test_chromium_trusts_the_authority(deployment: Deployment, chromium: dict[str, str]) -> None:
    with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
        open_chat(deployment, chromium)
    authority = Path(chromium["HOME"]) / "authority.crt"
    authority.write_text(deployment.outputs["caCertificate"])
    certutil(chromium, "-A", "-t", "C,,", "-n", "chat", "-i", str(authority))
    assert open_chat(deployment, chromium).startswith("0{")


def open_chat(deployment: Deployment, environment: dict[str, str]) -> str:
    """The first message over the WebSocket, of a page that shows no warning."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell",
            args=["--no-sandbox", "--disable-background-networking"],
            env={**environment},
        )
        page = browser.new_page()
        page.goto(deployment.outputs["url"])
        return str(page.evaluate(WEBSOCKET))


def test_openssl_verifies_the_chain(deployment: Deployment, tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text(deployment.outputs["caCertificate"])
    address = deployment.address
    connect = ["openssl", "s_client", "-connect", f"{address}:443", "-CAfile", str(authority)]
    done = subprocess.run(
        [*connect, "-x509_strict", "-verify_return_error", "-verify_ip", address],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Verify return code: 0 (ok)" in done.stdout
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(authority), "-noout", "-text"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "CA:TRUE" in shown
    key = deployment.ssh("sudo grep -rls 'BEGIN EC PRIVATE KEY' /etc /srv/data/acme", check=False)
    assert key.output == "", "the authority's key is on the machine"


# Pebble on the machine itself: it has no other way to a server of this host.
PEBBLE = """
set -e
sudo DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes pebble >/dev/null
sudo install -d /root/pebble
sudo sh -ec 'cd /root/pebble
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out ca.pem -subj /CN=localhost -days 2 \
    -addext subjectAltName=DNS:localhost 2>/dev/null
cat >config.json <<END
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
 "certificate": "ca.pem", "privateKey": "key.pem", "httpPort": 80, "tlsPort": 1}}
END
systemd-run --quiet --unit test-names pebble-challtestsrv -http01= -https01= -tlsalpn01= \
    -defaultIPv6= -dns01 127.0.0.1:8053 -management 127.0.0.1:8055 \
    -defaultIPv4 "$(podman inspect nginx \
        --format "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")"
systemd-run --quiet --unit test-pebble --working-directory /root/pebble \
    --setenv PEBBLE_VA_NOSLEEP=1 pebble -config config.json -dnsserver 127.0.0.1:8053
until curl --silent --cacert ca.pem https://localhost:15000/roots/0; do sleep 0.1; done
cat ca.pem'
"""


@pytest.mark.long
def test_lets_encrypt_and_back(deployment: Deployment) -> None:
    authorities = deployment.ssh(PEBBLE).output
    try:
        ran = deployment.up(
            domain=NAME,
            **{
                "certificate.mode": "letsEncrypt",
                "certificate.acmeDirectory": "https://localhost:14000/dir",
                "certificate.acmeAuthority": authorities,
            },
        )
        assert f"issued a certificate for {NAME}" in ran.output
        # The name leads nowhere, and the questions went to the address.
        assert f"Warning: {NAME} does not yet lead to the machine" in ran.output
        assert "Pebble" in issuer(deployment, authorities)
        before = issued(deployment)
        deployment.up(reapply="after the certificate")
        deployment.ssh("sudo systemctl start ollamazure-acme.service")
        assert issued(deployment) == before
        exposure = deployment.ssh("systemd-analyze security ollamazure-acme.service --no-pager")
        assert float(exposure.output.rpartition("service: ")[2].split()[0]) <= 3
    finally:
        for key in ("domain", "certificate", "reapply"):
            deployment.pulumi("config", "rm", f"ollamazure:{key}", check=False)
        deployment.up()
        deployment.ssh("sudo systemctl stop test-pebble test-names")
    timer = deployment.ssh("systemctl is-active ollamazure-acme.timer", check=False)
    assert timer.output.strip() == "inactive"
    assert deployment.ask("Hello?")


def issued(deployment: Deployment) -> int:
    log = deployment.ssh("sudo journalctl --unit test-pebble --output cat").output
    return log.count("Issued certificate serial")


def issuer(deployment: Deployment, authorities: str) -> str:
    """The issuer of what the chat shows, verified for its name."""
    context = ssl.create_default_context(cadata=authorities)
    with (
        socket.create_connection((deployment.address, 443), 10) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as secure,
    ):
        return json.dumps((secure.getpeercert() or {})["issuer"])
