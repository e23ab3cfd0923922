"""A mirror with this machine's artifacts, padded to the sizes of the official ones.

Padding is zeros in sparse files, which take no space here. Nothing on the way compresses them: they
are downloaded, written and read like anything else. What the image unpacks is padded as well.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import tarfile
from pathlib import Path
from typing import Any

from emulator.artifacts import paths, pins
from emulator.artifacts.oci import OCI_CONFIG, Descriptor, Repository

BUNDLE = "ollama-linux-amd64.tar.zst"
# Of the official ones, rounded: what is downloaded, and for the image what is unpacked.
OLLAMA, IMAGE, IMAGE_UNPACKED, MODEL = 1_500_000_000, 1_600_000_000, 4_300_000_000, 2_000_000_000
BUILT_IMAGE_UNPACKED = 1_500_000_000
TAR = "application/vnd.oci.image.layer.v1.tar"
WEIGHTS = "application/vnd.ollama.image.model"
# Decoders of zstd skip a frame with this number; its length follows.
SKIPPABLE = 0x184D2A50


def make(root: Path, scratch: Path) -> None:
    """Fill the folder `root` with the mirror; `scratch` is for files in between."""
    link(root)
    pad_ollama(root / "ollama" / f"v{pins.OLLAMA}")
    pad_image(Repository(root, "open-webui/open-webui"), pins.CATALOG["open-webui"]["tag"], scratch)
    pad_model(Repository(root, pins.MODEL[0]), pins.MODEL[1], scratch)


def link(root: Path) -> None:
    """Fill the folder `root` with this machine's artifacts; they take no more space."""
    for file in filter(Path.is_file, paths.mirror().rglob("*")):
        target = root / file.relative_to(paths.mirror())
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copy2(file, target)  # another file system


def pad_ollama(folder: Path) -> None:
    content = (folder / BUNDLE).read_bytes()
    rest = OLLAMA - len(content) - 8
    file = folder / f"{BUNDLE}.new"
    file.write_bytes(content + struct.pack("<II", SKIPPABLE, rest))
    os.truncate(file, OLLAMA)
    file.replace(folder / BUNDLE)
    replace(folder / "sha256sum.txt", f"{sha256(file=folder / BUNDLE)}  ./{BUNDLE}\n".encode())


def pad_image(repository: Repository, tag: str, scratch: Path) -> None:
    """Adds a layer that is as large as its content, and one of which little is downloaded."""
    manifest = read(repository, tag)
    downloaded = sum(layer["size"] for layer in manifest["layers"])
    plain = repository.add_file(tar_of(scratch / "plain", IMAGE - downloaded), TAR)
    packed, inside = repository.add_layer(
        tar_of(scratch / "packed", IMAGE_UNPACKED - BUILT_IMAGE_UNPACKED - plain.size)
    )
    (scratch / "packed.tar").unlink()
    config = json.loads(repository.blob(manifest["config"]["digest"]).read_bytes())
    config["rootfs"]["diff_ids"] += [plain.digest, inside]
    publish(
        repository,
        tag,
        manifest,
        config=repository.add_bytes(json.dumps(config).encode(), OCI_CONFIG).as_json(),
        layers=[*manifest["layers"], plain.as_json(), packed.as_json()],
    )


def pad_model(repository: Repository, tag: str, scratch: Path) -> None:
    """The program that runs a model maps the whole file into memory, and ignores its end."""
    manifest = read(repository, tag)
    [weights] = [layer for layer in manifest["layers"] if layer["mediaType"] == WEIGHTS]
    file = scratch / "model"
    file.write_bytes(repository.blob(weights["digest"]).read_bytes())
    os.truncate(file, MODEL)
    padded: Descriptor = repository.add_file(file, WEIGHTS)
    layers = [padded.as_json() if layer is weights else layer for layer in manifest["layers"]]
    publish(repository, tag, manifest, layers=layers)


def tar_of(stem: Path, size: int) -> Path:
    """A tar file with one sparse file of zeros."""
    member = tarfile.TarInfo(f"usr/share/padding/{stem.name}")
    member.size = size - size % tarfile.BLOCKSIZE
    file = stem.with_suffix(".tar")
    file.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    os.truncate(file, tarfile.BLOCKSIZE + member.size + 2 * tarfile.BLOCKSIZE)
    return file


def read(repository: Repository, tag: str) -> Any:
    return json.loads((repository.folder / "manifests" / tag).read_bytes())


def publish(repository: Repository, tag: str, former: dict[str, Any], **changes: Any) -> None:
    kind = (repository.folder / "manifests" / f"{tag}.type").read_text()
    repository.put_manifest(tag, json.dumps({**former, **changes}).encode(), kind)


def replace(file: Path, content: bytes) -> None:
    """Write another file: the one that is there may be a link to the artifact."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(content)
    new.replace(file)


def sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
