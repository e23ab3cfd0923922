"""A container registry as plain files, which any static web server can serve.

Images (OCI, layers compressed with zstd) and Ollama models have the same shape: a manifest that
names blobs by their SHA-256. Below the root are `v2/<name>/manifests/<tag or digest>`, beside each
a file `<…>.type` with its media type, and `v2/<name>/blobs/sha256:<hex>`.
Facts: OCI image and distribution specifications 1.1.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Descriptor:
    """A blob as a manifest names it; `size` in bytes."""

    media_type: str
    digest: str
    size: int

    def as_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Repository:
    """One image or model name in the tree at `root`."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.root / "v2" / self.name

    def blob(self, digest: str) -> Path:
        """The path of a blob; its folder is created."""
        blobs = self.folder / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        return blobs / digest

    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        digest = digest_of(content)
        _write(self.blob(digest), content)
        return Descriptor(media_type, digest, len(content))

    def add_file(self, source: Path, media_type: str) -> Descriptor:
        """Add a file as a blob; it is moved, not copied, if that is possible."""
        with source.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        size = source.stat().st_size
        shutil.move(source, self.blob(digest))
        return Descriptor(media_type, digest, size)

    def add_layer(self, tar: Path) -> tuple[Descriptor, str]:
        """Compress a tar file into a layer; returns it and the digest of the tar file."""
        part = self.blob(f"layer-{os.getpid()}.part")
        inside, outside = hashlib.sha256(), hashlib.sha256()
        compressor = zstandard.ZstdCompressor(level=3, threads=-1).compressobj()
        with tar.open("rb") as source, part.open("wb") as target:
            while chunk := source.read(_CHUNK):
                inside.update(chunk)
                packed = compressor.compress(chunk)
                outside.update(packed)
                target.write(packed)
            packed = compressor.flush()
            outside.update(packed)
            target.write(packed)
        layer = Descriptor(OCI_LAYER, f"sha256:{outside.hexdigest()}", part.stat().st_size)
        part.rename(self.blob(layer.digest))
        return layer, f"sha256:{inside.hexdigest()}"

    def add_image(self, tag: str, tar: Path, settings: Mapping[str, Any]) -> str:
        """Add an image of one layer. `settings` is the `config` of the OCI image configuration.

        Returns the manifest's digest.
        """
        layer, inside = self.add_layer(tar)
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": dict(settings),
            "rootfs": {"type": "layers", "diff_ids": [inside]},
        }
        return self.add_manifest(
            tag, self.add_bytes(json.dumps(config).encode(), OCI_CONFIG), [layer], OCI_MANIFEST
        )

    def add_manifest(
        self, tag: str, config: Descriptor, layers: list[Descriptor], media_type: str
    ) -> str:
        """Write the manifest of existing blobs; returns its digest."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.as_json(),
            "layers": [layer.as_json() for layer in layers],
        }
        return self.put_manifest(tag, json.dumps(manifest).encode(), media_type)

    def put_manifest(self, tag: str, content: bytes, media_type: str) -> str:
        """Publish a manifest under its digest, then under its tag, each in one step."""
        manifests = self.folder / "manifests"
        manifests.mkdir(parents=True, exist_ok=True)
        digest = digest_of(content)
        for reference in (digest, tag):
            _write(manifests / f"{reference}.type", media_type.encode())
            _write(manifests / reference, content)
        return digest


def digest_of(content: bytes) -> str:
    """The content's digest in the form of manifests."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _write(target: Path, content: bytes) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.rename(target)
