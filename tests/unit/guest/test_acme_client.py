"""The certificate of an ACME authority: Pebble, Debian's certbot, and Nginx as on the machine."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import acme_client
import pytest

from emulator.artifacts import chroot
from tests.unit.guest import nginx

NAME = "chat.example.test"
NO_SURPRISES = {
    "PEBBLE_VA_NOSLEEP": "1",
    "PEBBLE_WFE_NONCEREJECT": "0",
    "PEBBLE_AUTHZREUSE": "0",
}


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def running(command: list[str], log: Path, port: int, **env: str) -> Iterator[None]:
    """A server that listens on `port` of this machine."""
    with log.open("a") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **env}, cwd=log.parent
        )
    try:
        while not listens(port):
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@dataclass
class Authority:
    """Pebble, with a DNS of its own in which every name leads to one address."""

    folder: Path
    http: int  # where it looks for the answer
    ports: list[int] = field(default_factory=lambda: free_ports(4))

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.ports[0]}/dir"

    @property
    def certificate(self) -> Path:
        """Of its own HTTPS; not of what it issues."""
        return self.folder / "https.pem"

    @contextmanager
    def runs(self) -> Iterator[None]:
        acme, management, dns, names = self.ports
        settings = {
            "listenAddress": f"127.0.0.1:{acme}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": "https.pem",
            "privateKey": "https.key",
            "httpPort": self.http,
            "tlsPort": 1,
        }
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        none = [f"-{kind}=" for kind in ("http01", "https01", "tlsalpn01", "defaultIPv6")]
        challenges = ["-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{names}"]
        resolver = ["pebble-challtestsrv", *none, *challenges, "-defaultIPv4", "127.0.0.1"]
        pebble = ["pebble", "-config", "pebble.json", "-dnsserver", f"127.0.0.1:{dns}"]
        log = self.folder / "pebble.log"
        with (
            running(resolver, self.folder / "dns.log", names),
            running(pebble, log, acme, **NO_SURPRISES),
        ):
            yield

    def lead_names_to(self, address: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[3])
        connection.request("POST", "/set-default-ipv4", json.dumps({"ip": address}))
        assert connection.getresponse().status == 200

    @property
    def issued(self) -> int:
        return (self.folder / "pebble.log").read_text().count("Issued certificate serial")

    @property
    def requests(self) -> int:
        return (self.folder / "pebble.log").read_text().count(" -> calling handler()")


@dataclass
class Machine:
    """A machine's folders, and its Nginx."""

    folder: Path
    https: int
    capsys: pytest.CaptureFixture[str]
    authority: Authority

    def run(self, action: str) -> str:
        """What the program prints."""
        assert acme_client.main([action]) == 0
        return self.capsys.readouterr().out

    def shown(self) -> bytes:
        """The certificate that clients see; during a reload, as soon as all see the same."""
        seen = [self._shown() for _ in range(5)]
        while len({*seen[-5:]}) > 1:
            seen.append(self._shown())
        return seen[-1]

    def _shown(self) -> bytes:
        context = ssl._create_unverified_context()  # noqa: S323  it is compared below
        with (
            socket.create_connection(("127.0.0.1", self.https), 10) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    @property
    def own(self) -> bytes:
        """The certificate of the stack's own authority."""
        pem = (self.folder / "self-signed.pem").read_text().partition("-----BEGIN PRIVATE")[0]
        return ssl.PEM_cert_to_DER_cert(pem)

    def shown_instead_of(self, certificate: bytes) -> bytes:
        """The certificate that replaces this one, as soon as a client sees it.

        Until the reload is complete, others may see the former one again.
        """
        for _ in range(200):
            if (shown := self._shown()) != certificate:
                return shown
            time.sleep(0.05)
        raise AssertionError("Nginx still shows the former certificate.")

    def change(self, **values: Any) -> None:
        settings = json.loads(acme_client.SETTINGS.read_text())
        acme_client.SETTINGS.write_text(json.dumps(settings | values))


def make_certificate(pem: Path, key: Path, name: str, subject: str = "/O=Own") -> None:
    making = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", subject]
    making += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(making, check=True, capture_output=True)


@pytest.fixture(scope="module")
def root() -> Path:
    return chroot.nginx_tree()


@pytest.fixture
def machine(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Machine]:
    folder = tmp_path / "machine"
    (folder / "public").mkdir(parents=True)
    plain, secure, ollama = free_ports(3)
    ports: dict[str, Any] = {"http": plain, "https": secure, "ollama": ollama}
    nginx.configure(root, folder, **ports, server_name=NAME, acme=True)
    own = folder / "self-signed.pem"
    make_certificate(own, folder / "own.key", NAME)
    own.write_text(own.read_text() + (folder / "own.key").read_text())
    command = nginx.command(root, folder)
    reload_it = " ".join([*command, "-s", "reload"])
    install = f"mv {folder}/server.pem.next {folder}/server.pem && {reload_it}"
    for name, value in {
        "SETTINGS": folder / "acme.json",
        "HOME": folder / "acme",
        "WEBROOT": folder / "public",
        "CERTIFICATES": folder,
        "INSTALL": ["bash", "-c", install],
    }.items():
        monkeypatch.setattr(acme_client, name, value)
    with (folder / "nginx.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    authority = Authority(tmp_path, plain)
    make_certificate(authority.certificate, tmp_path / "https.key", "localhost")
    settings = {
        "name": NAME,
        "address": "192.0.2.1",
        "directory": authority.directory,
        "email": None,
        "authority": str(authority.certificate),
    }
    acme_client.SETTINGS.write_text(json.dumps(settings))
    made = Machine(folder, secure, capsys, authority)
    first = made.shown()
    made.run("install")
    assert made.shown_instead_of(first) == made.own
    yield made
    subprocess.run([*command, "-s", "stop"], check=True, timeout=30)


@pytest.fixture
def authority(machine: Machine) -> Iterator[Authority]:
    with machine.authority.runs():
        yield machine.authority


def test_a_certificate_is_issued_once_and_nginx_shows_it(
    machine: Machine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"{authority.directory} issued a certificate for {NAME}." in machine.run("up")
    first, requests = machine.shown_instead_of(machine.own), authority.requests
    assert json.loads(machine.run("kept")) == ""
    # Neither a second `up`, nor the timer, nor a new machine with the old disk asks again.
    assert machine.run("up") == machine.run("run") == ""
    (machine.folder / "server.pem").unlink()
    assert machine.run("install") == ""
    assert (authority.issued, authority.requests) == (1, requests)
    assert machine.shown() == first
    for path in (machine.folder / "server.pem", *acme_client.HOME.glob("*/archive/*/privkey*")):
        assert path.stat().st_mode & 0o077 == 0, path

    monkeypatch.setattr(acme_client, "RENEW_BELOW", 2)
    machine.run("run")
    assert authority.issued == 2
    assert machine.shown_instead_of(first)


@pytest.mark.long
def test_a_refused_challenge_is_tried_again_after_a_growing_pause(
    machine: Machine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.folder / "elsewhere").mkdir()
    monkeypatch.setattr(acme_client, "WEBROOT", machine.folder / "elsewhere")
    printed = machine.run("up")
    assert printed.startswith(
        f"Warning: There is no certificate yet: {NAME} has no address, not 192.0.2.1 ("
    )
    assert "Set the DNS record" in printed
    assert machine.shown() == machine.own
    requests, first = authority.requests, acme_client.State.read()
    machine.run("up")
    machine.run("run")
    assert authority.requests == requests, "it asked again within the pause"
    assert acme_client.status() is not None

    machine.run("now")
    second = acme_client.State.read()
    assert (first.failures, second.failures) == (1, 2)
    assert second.next - first.next > 60 * acme_client.PAUSES[0]
    # Other settings are tried at once; those that work end the failure.
    monkeypatch.setattr(acme_client, "WEBROOT", machine.folder / "public")
    machine.change(email="admin@example.test")
    assert "issued a certificate" in machine.run("up")
    assert acme_client.status() is None


@pytest.mark.long
def test_a_name_that_leads_elsewhere(machine: Machine, authority: Authority) -> None:
    authority.lead_names_to("127.0.0.9")
    printed = machine.run("up")
    assert f"{NAME} has no address, not 192.0.2.1" in printed
    assert "127.0.0.9" in printed
    assert machine.shown() == machine.own
    authority.lead_names_to("127.0.0.1")
    assert "issued a certificate" in machine.run("now")


@pytest.mark.long
def test_a_server_that_is_down(machine: Machine) -> None:
    printed = machine.run("up")
    assert f"{machine.authority.directory} cannot be reached" in printed
    assert machine.shown() == machine.own


@pytest.mark.long
def test_an_account_that_was_deactivated_keeps_the_certificate(
    machine: Machine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.run("up")
    issued = machine.shown_instead_of(machine.own)
    settings = acme_client.AcmeSettings(**json.loads(acme_client.SETTINGS.read_text()))
    accounts = settings.home / "accounts"
    shutil.copytree(accounts, machine.folder / "accounts", symlinks=True)
    folders = ["--config-dir", str(settings.home), "--work-dir", str(acme_client.HOME / "work")]
    folders += ["--logs-dir", str(acme_client.HOME / "log")]
    subprocess.run(
        ["certbot", "unregister", "--non-interactive", "--server", settings.directory, *folders],
        env={**os.environ, "REQUESTS_CA_BUNDLE": str(authority.certificate)},
        check=True,
        capture_output=True,
    )
    shutil.rmtree(accounts)
    shutil.copytree(machine.folder / "accounts", accounts, symlinks=True)

    monkeypatch.setattr(acme_client, "RENEW_BELOW", 2)
    printed = machine.run("run")
    assert "The certificate could not be renewed: the authority does not accept" in printed
    assert "acme_client.py new-account" in printed
    assert machine.shown() == issued
    assert "issued a certificate" in machine.run("new-account")


@pytest.mark.long
def test_a_private_authority_that_is_not_trusted(machine: Machine, authority: Authority) -> None:
    machine.change(authority=None)
    printed = machine.run("up")
    assert "cannot be reached" in printed and "certificate.acmeAuthority" in printed
    assert authority.issued == 0


@pytest.mark.parametrize(
    ("words", "until"),
    [
        (
            "too many certificates (5) already issued, retry after 2027-01-02 03:04:05 UTC: see",
            True,
        ),
        ("too many failed authorizations recently", False),
    ],
)
def test_a_rate_limit_lasts_as_long_as_the_authority_says(words: str, until: bool) -> None:
    settings = acme_client.AcmeSettings(NAME, "192.0.2.1", "https://acme.test/dir", None, None)
    log = f"acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: {words}"
    failure = acme_client.failure_of("An unexpected error occurred:", log, settings)
    assert "the authority issues no more for now" in failure.reason
    assert "cloudapp.azure.com" in failure.fix
    assert failure.until == 1798859045 if until else failure.until > time.time() + 23 * 3600


@pytest.mark.parametrize(("days", "due"), [(0, False), (-1, True), (1, True)])
def test_a_pause_of_a_wrong_clock_ends_when_the_clock_is_right(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, days: int, due: bool
) -> None:
    """A request failed; then the clock is set by so many days."""
    settings = acme_client.AcmeSettings(**json.loads(acme_client.SETTINGS.read_text()))
    acme_client.HOME.mkdir(exist_ok=True)
    failure = acme_client.Failure("it is down", "Wait.")
    monkeypatch.setattr(acme_client, "request", lambda _: failure)
    acme_client.look_after(settings)
    now = time.time() + days * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: now)
    assert acme_client.is_due(settings, "run") == due


def test_a_certificate_that_is_not_valid_yet_is_installed(
    machine: Machine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a wrong clock can find that: the authority's certificate stays the best one."""
    machine.run("up")
    issued, now = machine.shown_instead_of(machine.own), time.time() - 24 * 3600
    monkeypatch.setattr(time, "time", lambda: now)
    machine.run("run")
    assert (machine.shown(), authority.issued) == (issued, 1)


def test_without_settings_it_does_nothing(machine: Machine) -> None:
    acme_client.SETTINGS.unlink()
    assert machine.run("run") == ""
    assert not acme_client.HOME.exists() or not any(acme_client.HOME.iterdir())


@pytest.mark.parametrize(("name", "stays"), [(NAME, True), ("another.example.test", False)])
def test_a_certificate_of_the_settings_stays_until_one_is_issued(
    machine: Machine, name: str, stays: bool
) -> None:
    present, key = machine.folder / "server.pem", machine.folder / "provided.key"
    make_certificate(present, key, name, "/O=Another")
    certificate = present.read_text()
    present.write_text(before := certificate + key.read_text())
    machine.run("install")
    assert (present.read_text() == before) == stays
    # What the chat's clients are to accept until then; never the key.
    assert machine.run("kept") == json.dumps(certificate if stays else "") + "\n"
