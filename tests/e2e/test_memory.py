"""The estimate of a model's memory against what the pinned Ollama really uses.

The real bundle runs on this machine, without a VM: only its memory is looked at.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard

from emulator.artifacts import paths
from ollamazure import catalog
from ollamazure.catalog import Model
from ollamazure.sizing.memory import GIB, Load, need
from tests.e2e import gguf

pytestmark = pytest.mark.long

SMALL = "smollm2:135m"
LARGER = gguf.Shape(layers=4, embedding=2048, heads=32, kv_heads=8, feed_forward=8192, context=8192)
MIB = 2**20


@dataclass(frozen=True)
class Server:
    """`ollama serve` of the bundle, with one model."""

    process: subprocess.Popen[bytes]
    client: httpx.Client

    def ask(self, prompt: str, context: int) -> None:
        """One question that fills more than a batch, answered with a word."""
        options = {"num_ctx": context, "num_predict": 1}
        body = {"model": "measured", "prompt": prompt, "raw": True, "stream": False}
        self.client.post("/api/generate", json={**body, "options": options}).raise_for_status()

    def peak(self, context: int) -> int:
        """Most memory that the model's llama-server ever had, in bytes."""
        (runner,) = [
            process
            for process in Path("/proc").glob("[0-9]*")
            if _is_runner(process, self.process.pid, context)
        ]
        for line in (runner / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel tells no peak")


def _is_runner(process: Path, parent: int, context: int) -> bool:
    try:
        stat = (process / "stat").read_text().rpartition(")")[2].split()
        command = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # gone meanwhile
        return False
    return int(stat[1]) == parent and f"{context}".encode() in command


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ollama")
    packed = paths.ollama_bundle() / catalog.versions().ollama.file
    with (
        packed.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        archive.extractall(folder)  # noqa: S202 - the bundle was checked when it was built
    return folder


@contextmanager
def serving(bundle: Path, model: Path, folder: Path, **environment: str) -> Iterator[Server]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    settings = {
        "OLLAMA_HOST": address,
        "OLLAMA_MODELS": str(folder / "models"),
        "HOME": str(folder),
        "OLLAMA_NO_CLOUD": "true",
        "PATH": os.environ["PATH"],
        **environment,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [bundle / "bin" / "ollama", "serve"], env=settings, stdout=log, stderr=log
        )
    transport = httpx.HTTPTransport(retries=8)  # waits longer each time, until it listens
    client = httpx.Client(base_url=f"http://{address}", transport=transport, timeout=600)
    try:
        client.get("/api/version").raise_for_status()
        recipe = folder / "Modelfile"
        recipe.write_text(f"FROM {model}\n")
        subprocess.run(
            [bundle / "bin" / "ollama", "create", "measured", "-f", recipe],
            env=settings,
            check=True,
            capture_output=True,
        )
        yield Server(process, client)
    finally:
        client.close()
        process.terminate()
        process.wait()


def small_file() -> Path:
    """The weights of the small model in the mirror."""
    name, tag = SMALL.split(":")
    manifest = paths.manifest(f"library/{name}", tag)
    layers: list[dict[str, Any]] = json.loads(manifest.read_text())["layers"]
    digest: str
    (digest,) = [layer["digest"] for layer in layers if layer["mediaType"].endswith(".model")]
    return manifest.parents[1] / "blobs" / digest


def small(_: Path) -> tuple[Model, Path]:
    file = small_file()
    size = {"download_gb": file.stat().st_size / 1e9}
    return catalog.models()[SMALL].model_copy(update=size), file


def larger(folder: Path) -> tuple[Model, Path]:
    file = folder / "larger.gguf"
    gguf.write(file, LARGER, like=small_file())
    shape = {
        "download_gb": file.stat().st_size / 1e9,
        "layers": LARGER.layers,
        "kv_heads": LARGER.kv_heads,
        "key_length": LARGER.head,
        "value_length": LARGER.head,
        "embedding": LARGER.embedding,
    }
    return catalog.models()[SMALL].model_copy(update=shape), file


@pytest.mark.parametrize("parallel", [2, 1])
@pytest.mark.parametrize("made", [small, larger])
def test_the_estimate_is_never_below_the_peak_and_at_most_15_percent_above(
    made: Callable[[Path], tuple[Model, Path]], parallel: int, bundle: Path, tmp_path: Path
) -> None:
    model, file = made(tmp_path)
    with serving(bundle, file, tmp_path, OLLAMA_NUM_PARALLEL=f"{parallel}") as server:
        for context in (1024, 4096, 8192):
            server.ask("one two three four five six seven eight nine ten " * 52, context)
            peak = server.peak(context * parallel)
            estimate = need(model, Load(context, parallel, 1)).total * GIB
            assert peak <= estimate <= peak * 1.15, (
                f"{context} tokens: {estimate / MIB:.0f} MiB estimated, {peak / MIB:.0f} MiB used"
            )


def test_former_conversations_are_kept_up_to_the_limit(bundle: Path, tmp_path: Path) -> None:
    limit = 32 * MIB  # a conversation of this test takes about half of it
    with serving(bundle, small_file(), tmp_path, LLAMA_ARG_CACHE_RAM="32") as server:
        server.ask("story 0 " * 200, 2048)
        before = server.peak(2048)
        for number in range(1, 7):
            server.ask(f"story {number} " * 200, 2048)
        assert server.peak(2048) - before <= limit * 1.15
