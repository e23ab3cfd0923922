"""The bytes of a pull, as a registry on this machine lists them."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import image_size
import pytest

from components.remote_command import render_file

LAYERS = {"layers": [{"size": 1_500_000_000}, {"size": 100_000_000}]}
PLATFORMS = {
    "manifests": [
        {"digest": "sha256:aa", "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": "sha256:bb", "platform": {"os": "linux", "architecture": "amd64"}},
    ]
}


@dataclass
class Registry:
    """Its manifests by path; with a `token`, it requires an anonymous session."""

    address: str
    manifests: dict[str, Any] = field(default_factory=dict)
    token: str = ""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/token?service=s&scope=repository:a/b:pull":
                return self.answer(200, {"token": found.token})
            if found.token and self.headers.get("Authorization") != f"Bearer {found.token}":
                return self.answer(401, {})
            content = found.manifests.get(self.path.removeprefix("/v2/a/b/manifests/"))
            return self.answer(404 if content is None else 200, content)

        def answer(self, status: int, content: Any) -> None:
            self.send_response(status)
            realm = f'realm="{found.address}/token",service="s",scope="repository:a/b:pull"'
            self.send_header("WWW-Authenticate", f"Bearer {realm}")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Registry(f"http://127.0.0.1:{server.server_address[1]}")
    file = tmp_path / "registries.conf"
    file.write_text(
        render_file("/etc/containers/registries.conf.d/ollamazure.conf", mirror=found.address)
    )
    monkeypatch.setattr(image_size, "REGISTRIES", file)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def size_of(image: str, capsys: pytest.CaptureFixture[str]) -> int:
    assert image_size.main(image) == 0
    return int(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("image", "manifests", "token"),
    [
        ("ghcr.io/a/b:1", {"1": LAYERS}, ""),
        ("docker.io/a/b:1@sha256:cc", {"sha256:cc": PLATFORMS, "sha256:bb": LAYERS}, ""),
        ("ghcr.io/a/b:1", {"1": LAYERS}, "anonymous"),
    ],
    ids=["one", "a list of platforms", "with a session"],
)
def test_the_layers_are_added(
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    image: str,
    manifests: dict[str, Any],
    token: str,
) -> None:
    registry.manifests, registry.token = manifests, token
    assert size_of(image, capsys) == 1_600_000_000


@pytest.mark.parametrize(
    "manifests", [{}, {"1": {"manifests": []}}, {"1": ["no manifest"]}, {"1": {"layers": [1]}}]
)
def test_what_is_not_known_is_0(
    registry: Registry, capsys: pytest.CaptureFixture[str], manifests: dict[str, Any]
) -> None:
    registry.manifests = manifests
    assert size_of("ghcr.io/a/b:1", capsys) == 0


def test_without_a_mirror_it_is_the_registry_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "registries.conf"
    file.write_text(render_file("/etc/containers/registries.conf.d/ollamazure.conf", mirror=None))
    monkeypatch.setattr(image_size, "REGISTRIES", file)
    assert image_size.address_of("ghcr.io") == "https://ghcr.io"
    assert image_size.address_of("docker.io") == "https://registry-1.docker.io"
