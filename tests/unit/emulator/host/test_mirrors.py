"""The mirror server is a registry for Podman and for Ollama."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emulator.host.commands import wait_until

ADDRESS = "127.0.84.80"
BLOB = bytes(range(256)) * 64
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
MANIFEST = b'{"schemaVersion": 2}'
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("mirror")
    _fill(folder / "mirror")
    (folder / "outside").write_text("secret")
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "emulator.host.mirrors", folder / "mirror", ADDRESS, str(port)]
    )
    try:
        with httpx.Client(base_url=f"http://{ADDRESS}:{port}") as client:
            assert wait_until(lambda: _answers(client), 20)
            yield client
    finally:
        server.terminate()
        server.wait()


def _fill(mirror: Path) -> None:
    manifests = mirror / "v2/library/nginx/manifests"
    blobs = mirror / "v2/library/nginx/blobs"
    for folder in (manifests, blobs, mirror / "ollama/v1"):
        folder.mkdir(parents=True)
    (manifests / "1.0").write_bytes(MANIFEST)
    (manifests / "1.0.type").write_text(f"{MEDIA_TYPE}\n")
    (blobs / DIGEST).write_bytes(BLOB)
    (mirror / "ollama/v1/sha256sum.txt").write_text("checksums")


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/v2/").is_success
    except httpx.TransportError:
        return False


def test_it_is_a_registry(client: httpx.Client) -> None:
    answer = client.get("/v2/")
    assert answer.json() == {}
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_manifest_comes_with_its_type_and_digest(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/v2/library/nginx/manifests/1.0")
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    expected = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    assert answer.headers["Docker-Content-Digest"] == expected
    assert answer.headers["Content-Length"] == str(len(MANIFEST))
    assert answer.content == (MANIFEST if method == "GET" else b"")


def test_a_blob_comes_whole_and_in_parts(client: httpx.Client) -> None:
    path = f"/v2/library/nginx/blobs/{DIGEST}"
    assert client.get(path).content == BLOB
    assert client.head(path).headers["Content-Length"] == str(len(BLOB))
    part = client.get(path, headers={"Range": "bytes=256-511"})
    assert (part.status_code, part.content) == (206, BLOB[256:512])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ollama_is_sent_to_another_host_for_blobs(client: httpx.Client, method: str) -> None:
    path = f"/v2/library/nginx/blobs/{DIGEST}"
    answer = client.request(method, path, headers={"Host": "mirrors.internal:8480"})
    assert answer.status_code == 307
    assert answer.headers["Location"] == f"http://blobs.mirrors.internal:8480{path}"
    there = client.request(method, path, headers={"Host": "blobs.mirrors.internal:8480"})
    assert there.status_code == 200


def test_files_are_served_as_they_lie(client: httpx.Client) -> None:
    assert client.get("/ollama/v1/sha256sum.txt").text == "checksums"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/library/nginx/manifests/2.0",
        "/v2/library/nginx/blobs/sha256:00",
        "/ollama/v1",
        "/%2e%2e/outside",
        "/v2/x/blobs/%2e%2e/%2e%2e/%2e%2e/%2e%2e/outside",
    ],
)
def test_what_is_not_there_is_not_found(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404
