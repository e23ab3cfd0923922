"""How the real Pulumi signs in to its state in Azure's storage, and to its key in Azure's vault.

Microsoft's servers are a proxy on 127.0.0.1: no request leaves this machine.
"""

from __future__ import annotations

import json
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from emulator.artifacts import paths
from tests.github import CLIENT, TENANT, GitHub

PROJECT = Path(__file__).resolve().parents[2]
LOGIN = "login.microsoftonline.com"
STORAGE = "standin.blob.core.windows.net"
VAULT = "standin.vault.azure.net"

CHALLENGE = f'Bearer authorization="https://{LOGIN}/{TENANT}", resource="https://vault.azure.net"'
"""Azure's vault answers so to a first request, which has no access token."""


class Microsoft:
    """The sign-in service, which accepts only the newest token of GitHub; a storage and a vault.

    These two refuse everything, after they have recorded who asks.
    """

    def __init__(self, github: GitHub, folder: Path) -> None:
        self.github = github
        self.asked: list[str] = []
        """The access tokens that storage and vault got."""
        self.certificate = folder / "certificate.pem"
        names = ",".join(f"DNS:{name}" for name in (LOGIN, "login.microsoft.com", STORAGE, VAULT))
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(self.certificate)]
        subject = ["-subj", "/CN=stand-in", "-addext", f"subjectAltName={names}"]
        subprocess.run(
            ["openssl", "req", "-x509", *key, *files, *subject], check=True, capture_output=True
        )
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.certificate, folder / "key.pem")
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._server.server_address[1]}",
            "SSL_CERT_FILE": str(self.certificate),
        }

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def respond(self, host: str, path: str, body: str, authorization: str) -> tuple[int, object]:
        """The status and the JSON of an answer."""
        url, login = urlsplit(path), f"https://{LOGIN}/{TENANT}"
        if host == VAULT and not authorization:
            return 401, {}
        if host in (STORAGE, VAULT):
            self.asked.append(authorization)
            return 403, {}
        if url.path == "/common/discovery/instance":
            alias = {"preferred_network": LOGIN, "preferred_cache": LOGIN, "aliases": [LOGIN]}
            found = f"{login}/v2.0/.well-known/openid-configuration"
            return 200, {"tenant_discovery_endpoint": found, "metadata": [alias]}
        if url.path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            return 200, {
                "token_endpoint": f"{login}/oauth2/v2.0/token",
                "authorization_endpoint": f"{login}/oauth2/v2.0/authorize",
                "issuer": f"{login}/v2.0",
            }
        sent = {name: values[0] for name, values in parse_qs(body).items()}
        wanted = {
            "client_id": CLIENT,
            "client_assertion": self.github.tokens[-1],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "grant_type": "client_credentials",
        }
        if url.path == f"/{TENANT}/oauth2/v2.0/token" and wanted.items() <= sent.items():
            scope = sent["scope"].split()[0]
            return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": f"for {scope}"}
        return 401, {"error": "invalid_client", "error_description": "AADSTS700024"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        microsoft = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.connection = microsoft._tls.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", buffering=0)

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                authorization = self.headers.get("Authorization", "")
                status, answer = microsoft.respond(
                    self.headers["Host"], self.path, body, authorization
                )
                sent = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("WWW-Authenticate", CHALLENGE)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else sent)

            do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 - names of the base class

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        yield server


@pytest.fixture
def microsoft(github: GitHub, tmp_path: Path) -> Iterator[Microsoft]:
    server = Microsoft(github, tmp_path)
    server.start()
    yield server
    server.stop()


STATE = ["login", "azblob://state?storage_account=standin"]
KEY = ["stack", "init", "dev", "--secrets-provider", f"azurekeyvault://{VAULT}/keys/state"]


@pytest.mark.parametrize(
    ("command", "scope"),
    [(STATE, "https://storage.azure.com/.default"), (KEY, "https://vault.azure.net/.default")],
    ids=["state", "key"],
)
def test_pulumi_signs_in_with_the_jobs_own_token(
    command: list[str], scope: str, github: GitHub, microsoft: Microsoft, tmp_path: Path
) -> None:
    """It reads the token in the file that tools/signed_in.py keeps fresh; no `az` is asked."""
    (tmp_path / "Pulumi.yaml").write_text("name: chat\nruntime: yaml\n")
    pulumi = [str(paths.pulumi()), "--non-interactive", "--cwd", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "tools/signed_in.py", *pulumi, *command],
        cwd=PROJECT,
        env={
            "PATH": "",
            "HOME": str(tmp_path),
            "PULUMI_BACKEND_URL": f"file://{tmp_path}",
            "PULUMI_HOME": str(tmp_path / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **github.environment,
            **microsoft.environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert microsoft.asked, done.stdout + done.stderr
    assert set(microsoft.asked) == {f"Bearer for {scope}"}
    assert not any(token in done.stdout + done.stderr for token in github.tokens)
