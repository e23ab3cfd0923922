"""How a runner finds its own address. What happens with it: tests/engine and tests/e2e."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tools import ssh_clients

Services = Callable[..., None]


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Sets the answers of the services that report a machine's address."""
    servers = []

    def answer(*texts: str) -> None:
        for text in texts:

            class Handler(BaseHTTPRequestHandler):
                body = text.encode()

                def do_GET(self) -> None:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(self.body)

                def log_message(self, format: str, *args: object) -> None:
                    pass

            servers.append(HTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        urls = tuple(f"http://127.0.0.1:{server.server_port}" for server in servers)
        monkeypatch.setattr(ssh_clients, "ADDRESS_SERVICES", urls)

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_address_is_the_one_that_both_report(services: Services) -> None:
    services("20.1.2.3\n", "20.1.2.3")
    assert ssh_clients.own_address() == "20.1.2.3"


@pytest.mark.parametrize(
    "answers",
    [
        ("20.1.2.3", "20.1.2.4"),
        ("203.0.113.7", "203.0.113.7"),
        ("10.0.0.4", "10.0.0.4"),
        ("2001:db8::1", "2001:db8::1"),
        ("<html>", "<html>"),
        ("", ""),
    ],
)
def test_an_uncertain_address_opens_nothing(services: Services, answers: tuple[str, str]) -> None:
    services(*answers)
    with pytest.raises(ssh_clients.ClientsError, match="is uncertain"):
        ssh_clients.own_address()


def test_a_service_that_does_not_answer_is_named(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services("20.1.2.3")
    silent = "http://127.0.0.1:1"
    monkeypatch.setattr(ssh_clients, "ADDRESS_SERVICES", (*ssh_clients.ADDRESS_SERVICES, silent))
    with pytest.raises(ssh_clients.ClientsError, match=silent):
        ssh_clients.own_address()


@pytest.mark.parametrize("clients", ["", "  ollamazure:sshClients: []\n"])
def test_a_workflow_deploys_only_a_stack_with_a_committed_address(
    clients: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one, SSH could not be closed to the runner again."""
    monkeypatch.setattr(ssh_clients, "PROJECT", tmp_path)
    (tmp_path / "Pulumi.dev.yaml").write_text(
        f"config:\n  ollamazure:location: westeurope\n{clients}"
    )
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "dev"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    fix = r"pulumi config set --path 'ollamazure:sshClients\[0\]' <address> --stack dev"
    with pytest.raises(ssh_clients.ClientsError, match=fix):
        ssh_clients.open_ssh(ssh_clients.CheckedOutStack("dev"), "20.1.2.3")
