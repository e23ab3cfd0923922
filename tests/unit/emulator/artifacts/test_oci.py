"""The written image is a valid OCI image: every digest matches its content."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from emulator.artifacts.oci import OCI_LAYER, OCI_MANIFEST, Repository, digest_of

pytestmark = pytest.mark.unit


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "mirror", "team/app")


@pytest.fixture
def layer(tmp_path: Path) -> bytes:
    """A tar file with one file in it, also at tmp_path/layer.tar."""
    with tarfile.open(tmp_path / "layer.tar", "w") as tar:
        member = tarfile.TarInfo("etc/hello")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    return (tmp_path / "layer.tar").read_bytes()


def read(repository: Repository, digest: str) -> bytes:
    content = repository.blob(digest).read_bytes()
    assert digest_of(content) == digest
    return content


def test_an_image_names_its_blobs_by_their_digests(
    tmp_path: Path, repository: Repository, layer: bytes
) -> None:
    digest = repository.add_image("v1", tmp_path / "layer.tar", {"Cmd": ["true"]})
    manifests = repository.folder / "manifests"
    content = (manifests / "v1").read_bytes()
    assert digest_of(content) == digest
    assert (manifests / digest).read_bytes() == content
    assert (manifests / "v1.type").read_text() == OCI_MANIFEST
    manifest = json.loads(content)
    config = json.loads(read(repository, manifest["config"]["digest"]))
    assert config["config"] == {"Cmd": ["true"]}
    (named,) = manifest["layers"]
    packed = read(repository, named["digest"])
    assert (named["mediaType"], named["size"]) == (OCI_LAYER, len(packed))
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == layer
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def test_nothing_temporary_stays(tmp_path: Path, repository: Repository, layer: bytes) -> None:
    repository.add_image("v1", tmp_path / "layer.tar", {})
    assert [path for path in repository.root.rglob("*") if path.name.endswith(".part")] == []


def test_a_container_engine_takes_the_image(
    tmp_path: Path, repository: Repository, layer: bytes
) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed; the end-to-end tests pull these images by Podman")
    digest = repository.add_image("v1", tmp_path / "layer.tar", {"Cmd": ["true"]})
    manifest = json.loads((repository.folder / "manifests" / "v1").read_bytes())
    layout = tmp_path / "layout"
    layout.mkdir()
    for blob in (manifest["config"], *manifest["layers"]):
        name = blob["digest"].removeprefix("sha256:")
        shutil.copy(repository.blob(blob["digest"]), layout / name)
    shutil.copy(repository.folder / "manifests" / "v1", layout / "manifest.json")
    (layout / "version").write_text("Directory Transport Version: 1.1\n")
    inspected = subprocess.run(
        [skopeo, "inspect", f"dir:{layout}"], check=True, capture_output=True, text=True
    )
    assert json.loads(inspected.stdout)["Digest"] == digest
