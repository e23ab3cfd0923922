"""Images and models are copied from a registry unchanged, and every digest is checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator.artifacts.oci import OCI_MANIFEST, Descriptor, Repository, digest_of
from emulator.artifacts.registry import pull
from emulator.artifacts.work import BuildError, OfficialUnavailableError
from tests.unit.emulator.artifacts.loopback import Server, serving

pytestmark = pytest.mark.unit
NAME = "team/app"
BLOBS = {f"blob{number}".encode() * 1000 for number in range(3)}
INDEX = "application/vnd.oci.image.index.v1+json"


def registry(*, as_list: bool = False, token: str = "") -> Server:
    """A registry that holds `team/app:v1`, alone or in a list of platforms."""
    blobs = {digest_of(content): content for content in sorted(BLOBS)}
    config, *layers = [
        Descriptor("x", digest, len(content)).as_json() for digest, content in blobs.items()
    ]
    image = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
    ).encode()
    server = Server(token=token)
    base = f"/v2/{NAME}"
    manifests = {digest_of(image): image, "v1": image}
    if as_list:
        arm = {"digest": "sha256:0", "platform": {"os": "linux", "architecture": "arm64"}}
        amd = {"digest": digest_of(image), "platform": {"os": "linux", "architecture": "amd64"}}
        manifests["v1"] = json.dumps({"manifests": [arm, amd]}).encode()
    for reference, content in manifests.items():
        server.files[f"{base}/manifests/{reference}"] = content
        server.types[f"{base}/manifests/{reference}"] = INDEX if content != image else OCI_MANIFEST
    for digest, content in blobs.items():
        server.files[f"{base}/blobs/{digest}"] = content
    return server


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("token", ["", "anonymous-session"])
def test_a_pulled_image_is_complete(tmp_path: Path, as_list: bool, token: str) -> None:
    repository = Repository(tmp_path, NAME)
    with serving(registry(as_list=as_list, token=token)) as server:
        pull(server.url, repository, "v1", print)
    manifest = json.loads((repository.folder / "manifests" / "v1").read_bytes())
    assert (repository.folder / "manifests" / "v1.type").read_text() == OCI_MANIFEST
    named = [manifest["config"], *manifest["layers"]]
    assert {repository.blob(blob["digest"]).read_bytes() for blob in named} == BLOBS


def test_a_pull_that_broke_off_fetches_only_the_rest(tmp_path: Path) -> None:
    repository = Repository(tmp_path, NAME)
    with serving(registry()) as server:
        manifest = json.loads(server.files[f"/v2/{NAME}/manifests/v1"])
        last = f"/v2/{NAME}/blobs/{manifest['layers'][-1]['digest']}"
        content = server.files.pop(last)
        with pytest.raises(OfficialUnavailableError):
            pull(server.url, repository, "v1", print)
        assert not (repository.folder / "manifests" / "v1").exists()
        server.files[last] = content
        server.requests.clear()
        pull(server.url, repository, "v1", print)
    assert [path for path, _ in server.requests if "/blobs/" in path] == [last]


def test_a_blob_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    with serving(registry()) as server:
        path = next(path for path in server.files if "/blobs/" in path)
        server.files[path] = b"something else"
        with pytest.raises(BuildError, match="SHA-256"):
            pull(server.url, Repository(tmp_path, NAME), "v1", print)


def test_a_pinned_digest_decides_and_not_the_tag(tmp_path: Path) -> None:
    with serving(registry()) as server:
        manifest = server.files[f"/v2/{NAME}/manifests/v1"]
        pinned = digest_of(manifest)
        server.files[f"/v2/{NAME}/manifests/{pinned}"] = manifest + b" "
        with pytest.raises(BuildError, match="not sha256"):
            pull(server.url, Repository(tmp_path, NAME), "v1", print, digest=pinned)


def test_no_image_for_this_architecture_is_an_error(tmp_path: Path) -> None:
    with serving(registry(as_list=True)) as server:
        server.files[f"/v2/{NAME}/manifests/v1"] = b'{"manifests": []}'
        with pytest.raises(BuildError, match="no image for linux/amd64"):
            pull(server.url, Repository(tmp_path, NAME), "v1", print)
