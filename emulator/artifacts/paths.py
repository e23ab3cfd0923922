"""The path of each artifact. Nothing here builds or checks anything."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from emulator.artifacts import pins
from emulator.instance import cache_folder


def pulumi() -> Path:
    """The Pulumi command."""
    return cache_folder() / "pulumi" / pins.PULUMI / "bin" / "pulumi"


def actionlint() -> Path:
    """The actionlint command, which is for `make check` only."""
    return cache_folder() / "actionlint" / pins.ACTIONLINT / "actionlint"


def dex() -> Path:
    """Dex, the OpenID provider that `make test` signs in with."""
    return cache_folder() / "dex" / pins.DEX / "dex"


def llama_bench() -> Path:
    """The llama-bench command, which is for `make bench` only."""
    return cache_folder() / "llama-bench" / pins.LLAMA_CPP / "llama-bench"


def azurite() -> Path:
    """The folder of Azurite's packages."""
    return cache_folder() / "azurite" / pins.AZURITE


def azurite_blobs() -> Path:
    """Azurite's server of blobs, a program for Node."""
    return azurite() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def python_packages(name: str) -> Path:
    """The folder with the packages of `lock_files/<name>.txt`."""
    recipe = "\n".join(pins.lock_recipe(name)).encode()
    return cache_folder() / name / hashlib.sha256(recipe).hexdigest()[:12]


def machine_rootfs(*, lean: bool = False) -> Path:
    """The root filesystem of a Debian 13 machine, as a tar file.

    `lean` is the variant without curl and zstd. It shows that the first boot needs nothing that the
    image only happens to contain.
    """
    folder = f"debian-13-{pins.MACHINE_RECIPE}" + ("-lean" if lean else "")
    return cache_folder() / "machine" / folder / "rootfs.tar"


def mirror() -> Path:
    """The tree that the emulated mirrors serve: Ollama's bundle, models, container images.

    $OLLAMAZURE_MIRROR is another one, for a test.
    """
    return Path(os.environ.get("OLLAMAZURE_MIRROR") or cache_folder() / "mirror")


def ollama_bundle() -> Path:
    """The folder with Ollama's bundle and its checksums, as in a GitHub release."""
    return mirror() / "ollama" / f"v{pins.OLLAMA}"


def manifest(name: str, tag: str) -> Path:
    """The manifest of an image or a model in the mirror."""
    return mirror() / "v2" / name / "manifests" / tag
