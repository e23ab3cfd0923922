"""Whether the DNS of the containers answers, asked of real servers. On a machine: tests/e2e."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import container_dns
import pytest


@pytest.fixture
def server() -> socket.socket:
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    channel.bind(("127.0.0.1", 0))
    return channel


def test_any_answer_counts(server: socket.socket) -> None:
    def respond() -> None:
        query, client = server.recvfrom(512)
        server.sendto(query[:2] + bytes.fromhex("8183") + query[4:], client)

    thread = threading.Thread(target=respond)
    thread.start()
    assert container_dns.answers(server.getsockname())
    thread.join()


def test_no_server(server: socket.socket) -> None:
    address = server.getsockname()
    server.close()
    assert not container_dns.answers(address)


def test_a_server_that_hangs(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_dns, "PATIENCE", 0.1)
    assert not container_dns.answers(server.getsockname())


def test_without_containers_no_dns_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Podman ends aardvark-dns with the last container."""
    monkeypatch.setattr(container_dns, "NETWORK", tmp_path / "mynet")
    assert container_dns.is_well()
    (tmp_path / "mynet").write_text("10.89.0.1\nab12 10.89.0.2  nginx,ab12\ncd34 10.89.0.3  x\n")
    assert container_dns.containers() == ["ab12", "cd34"]
