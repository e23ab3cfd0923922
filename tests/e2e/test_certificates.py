"""Certificates as browsers and clients of the chat see them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from playwright.sync_api import Error, sync_playwright

from tests.e2e.deployment import Deployment, Ran, wait_until
from tests.e2e.hostile import SOCKET
from tests.e2e.test_operations import rows, run
from tests.e2e.wire import Server, WebSocket
from tests.unit.ollamazure.settings.test_provided_certificate import Signer

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


# Pebble in a network of its own, which only the machine reaches. The machine's firewall is between
# them, and the questions of the authority come to port 80 as those of the internet do.
AUTHORITY = "198.18.0.2"
PEBBLE = """
exec 3>&1 >/run/pebble.log 2>&1
trap 'cat /run/pebble.log >&3' ERR
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet update && apt-get --quiet install --yes --no-install-recommends pebble
ip netns add authority
ip link add authority type veth peer name machine netns authority
ip address add 198.18.0.1/30 dev authority
ip link set authority up
ip -n authority address add 198.18.0.2/30 dev machine
ip -n authority link set machine up
ip -n authority link set lo up
mkdir -p /root/pebble
cd /root/pebble
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out ca.pem -subj /CN=authority -days 2 \\
    -addext subjectAltName=IP:198.18.0.2 -addext keyUsage=critical,digitalSignature,keyCertSign
cat >config.json <<END
{"pebble": {"listenAddress": "198.18.0.2:14000", "managementListenAddress": "198.18.0.2:15000",
 "certificate": "ca.pem", "privateKey": "key.pem", "httpPort": 80, "tlsPort": 1}}
END
start() {
    systemd-run --property NetworkNamespacePath=/run/netns/authority --working-directory "$PWD" "$@"
}
start --unit test-names pebble-challtestsrv -http01= -https01= -tlsalpn01= -defaultIPv6= \\
    -dns01 127.0.0.1:8053 -management 127.0.0.1:8055 -defaultIPv4 198.18.0.1
start --unit test-pebble --setenv PEBBLE_VA_NOSLEEP=1 --setenv PEBBLE_AUTHZREUSE=0 \\
    --setenv PEBBLE_WFE_NONCEREJECT=0 \\
    pebble -config config.json -dnsserver 127.0.0.1:8053
until ip netns exec authority \\
    curl --silent --fail --cacert ca.pem --output root.pem https://198.18.0.2:15000/roots/0; do
    sleep 0.1
done
cat ca.pem root.pem >&3
"""
END_OF_PEBBLE = """
systemctl stop test-pebble test-names
ip netns delete authority
rm -rf /root/pebble /srv/data/acme
"""
OF_THE_SETTINGS = ("domain", "certificate", "certificateKey", "probeFrom", "reapply")
ACME_CLIENT = "sudo /usr/local/lib/ollamazure/acme_client.py"
# The timer's service as it is, but that every certificate is due.
RENEWS = """[Service]
ExecStart=
ExecStart=/usr/bin/python3 -B -c "import acme_client as it; it.RENEW_BELOW = 2; it.main(['run'])"
WorkingDirectory=/usr/local/lib/ollamazure
"""
DROP_IN = "/run/systemd/system/ollamazure-acme.service.d"


@pytest.fixture
def authorities(deployment: Deployment) -> Iterator[str]:
    """The certificates of an ACME authority; the settings are as before when the test ends."""
    try:
        yield deployment.ssh('sudo bash -euc "$(cat)"', stdin=PEBBLE).output
    finally:
        for key in OF_THE_SETTINGS:
            deployment.pulumi("config", "rm", f"ollamazure:{key}", check=False)
        deployment.up()
        deployment.ssh("sudo bash", stdin=END_OF_PEBBLE, check=False)


def lets_encrypt(authorities: str) -> dict[str, str]:
    return {
        "certificate.mode": "letsEncrypt",
        "certificate.acmeDirectory": f"https://{AUTHORITY}:14000/dir",
        "certificate.acmeAuthority": authorities,
    }


@pytest.mark.long
def test_lets_encrypt_and_back(deployment: Deployment, authorities: str) -> None:
    before = serials(deployment)
    ran = deployment.up(domain=NAME, **lets_encrypt(authorities))
    assert f"issued a certificate for {NAME}" in ran.output
    # The name leads nowhere, and the questions went to the address.
    assert f"Warning: {NAME} does not yet lead to the machine" in ran.output
    assert "Pebble" in issuer(deployment, authorities)
    assert serials(deployment) == before + 1
    deployment.up(reapply="after the certificate")
    deployment.ssh("sudo systemctl start ollamazure-acme.service")
    assert serials(deployment) == before + 1
    exposure = deployment.ssh("systemd-analyze security ollamazure-acme.service --no-pager")
    assert float(exposure.output.rpartition("service: ")[2].split()[0]) <= 3

    # The renewal by the timer's service, in its sandbox, and one that fails.
    deployment.ssh(f"sudo install -D /dev/stdin {DROP_IN}/test.conf", stdin=RENEWS)
    deployment.ssh("sudo systemctl daemon-reload && sudo systemctl start ollamazure-acme")
    assert serials(deployment) == before + 2
    assert status(deployment).code == 0
    lead_name_to(deployment, AUTHORITY)
    deployment.ssh("sudo systemctl start ollamazure-acme")
    deployment.ssh(f"sudo rm -r {DROP_IN} && sudo systemctl daemon-reload")
    assert serials(deployment) == before + 2
    assert "Pebble" in issuer(deployment, authorities)
    failed = status(deployment)
    assert failed.code == 1
    assert rows(failed.output)["Chat"] == f"https://{NAME} answers"
    assert f"The certificate could not be renewed: {NAME} has no address, not" in failed.output
    assert f"Set the DNS record of {NAME} to {deployment.address}." in failed.output

    # A new machine has the disk of the former one, and no authority to ask.
    urns = deployment.pulumi("stack", "--show-urns").output.split()
    [machine] = [urn for urn in urns if urn.endswith("::vm")]
    deployment.pulumi("up", "--yes", "--skip-preview", "--replace", machine)
    deployment.forget()
    assert deployment.ssh("sudo test -d /root/pebble", check=False).code, "it is the former machine"
    assert "Pebble" in issuer(deployment, authorities)
    assert "could not be renewed" in status(deployment).output


@pytest.mark.long
def test_the_modes_change_and_nothing_is_interrupted(
    deployment: Deployment, authorities: str
) -> None:
    # The name leads nowhere from this computer.
    deployment.up(domain=NAME, probeFrom="machine")
    with visits(deployment.address) as visitor:
        assert "authority" in visitor.issuer()
        root = Signer("Company root", authority=True)
        server = Signer("chat", root, names=[NAME])
        key = ("config", "set", "--secret", "ollamazure:certificateKey")
        deployment.pulumi(*key, stdin=server.key_pem)
        deployment.up(**{"certificate.mode": "provided", "certificate.chain": server.pem})
        visitor.waits_for("Company root")
        assert deployment.last_check(connect=deployment.address).code == 0
        assert status(deployment).code == 0

        lead_name_to(deployment, AUTHORITY)
        for forgotten in ("certificate", "certificateKey"):
            deployment.pulumi("config", "rm", f"ollamazure:{forgotten}")
        ran = deployment.up(**lets_encrypt(authorities))
        assert "Warning: There is no certificate yet" in ran.output
        assert "Company root" in visitor.issuer()
        assert deployment.last_check(connect=deployment.address).code == 0
        failed = status(deployment)
        assert rows(failed.output)["Chat"] == f"https://{NAME} answers"
        assert "There is no certificate yet" in failed.output
        assert f"at once: `{ACME_CLIENT} now`" in failed.output

        lead_name_to(deployment, "198.18.0.1")
        assert "issued a certificate" in deployment.ssh(f"{ACME_CLIENT} now").output
        visitor.waits_for("Pebble")
        assert deployment.last_check(connect=deployment.address).code == 0
        assert status(deployment).code == 0

        deployment.pulumi("config", "rm", "ollamazure:certificate")
        ran = deployment.up()
        assert f"browsers that have opened https://{NAME} refuse the certificate" in ran.output
        visitor.waits_for("authority")
        assert deployment.last_check(connect=deployment.address).code == 0
        assert status(deployment).code == 0
    timer = deployment.ssh("systemctl is-active ollamazure-acme.timer", check=False)
    assert timer.output.strip() == "inactive"


class Visitor:
    """A client that asks again and again, and a WebSocket that stays open."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: Counter[str] = Counter()
        self.pings = 0
        self._latest = ""
        self._ends = threading.Event()
        # A WebSocket needs no certificate's name; the request has the chat's.
        self._socket = WebSocket(Server(address), SOCKET, {"Host": NAME})
        assert self._socket.status == http.client.SWITCHING_PROTOCOLS
        self._threads = [threading.Thread(target=it) for it in (self._ask, self._listen)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """The WebSocket answers once more; it is the one that was opened first."""
        before = self.pings
        wait_until(lambda: self.pings > before or self.answers["closed"] > 0, "a ping", patience=60)
        self._ends.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def issuer(self) -> str:
        """Who signed the certificate that the next answer comes with."""
        before = self.answers.total()
        wait_until(lambda: self.answers.total() > before + 1, "an answer")
        return self._latest

    def waits_for(self, issuer: str) -> None:
        wait_until(lambda: issuer in self.issuer(), f"a certificate of {issuer}")

    def _ask(self) -> None:
        context = ssl._create_unverified_context()  # noqa: S323  the test looks at the issuer
        for _ in range(10_000):
            if self._ends.wait(0.1):
                return
            try:
                with (
                    socket.create_connection((self.address, 443), 30) as plain,
                    context.wrap_socket(plain, server_hostname=NAME) as secure,
                ):
                    shown = secure.getpeercert(binary_form=True) or b""
                    self._latest = x509.load_der_x509_certificate(shown).issuer.rfc4514_string()
                    connection = http.client.HTTPConnection(NAME)
                    connection.sock = secure
                    connection.request("GET", "/health")
                    self.answers[str(connection.getresponse().status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[repr(error)] += 1

    def _listen(self) -> None:
        """Answer the pings of Open WebUI, one every 25 seconds, which otherwise ends it."""
        self._socket.send("40{}")
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                text = self._socket.receive()
                if text is None:
                    self.answers["closed"] += 1
                    return
                if text == "2":
                    self._socket.send("3")
                    self.pings += 1


@contextlib.contextmanager
def visits(address: str) -> Iterator[Visitor]:
    """A visitor, who at the end has met no error."""
    visitor = Visitor(address)
    visitor.start()
    try:
        yield visitor
    finally:
        visitor.end()
    assert visitor.answers.keys() == {"200"}, visitor.answers


def status(deployment: Deployment) -> Ran:
    """`ollamazure status` on a computer on which the name leads to the machine."""
    hosts = deployment.home / "hosts"
    hosts.write_text(f"{deployment.address} {NAME}\n127.0.0.1 localhost\n")
    script = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    return run(deployment, "status", within=["unshare", "--mount", "sh", "-c", script, "sh"])


def lead_name_to(deployment: Deployment, address: str) -> None:
    """Change the DNS of the authority: all names lead to the address."""
    body = json.dumps({"ip": address})
    curl = f"curl --fail --silent --data '{body}' http://127.0.0.1:8055/set-default-ipv4"
    deployment.ssh(f"sudo ip netns exec authority {curl}")


def serials(deployment: Deployment) -> int:
    """How many certificates the authority has issued."""
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
