"""Ollama of this machine's artifacts, run without a VM: for its memory and its speed."""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import zstandard

from emulator.artifacts import paths, pins
from emulator.artifacts.oci import Repository
from ollamazure import catalog
from tests.e2e.padded_mirror import WEIGHTS, read

MODEL = "measured"


@dataclass(frozen=True)
class Server:
    """`ollama serve` of the bundle, with one model."""

    process: subprocess.Popen[bytes]
    client: httpx.Client

    def ask(self, prompt: str, context: int, *, tokens: int = 1) -> dict[str, Any]:
        """A prompt as it is, continued by some tokens; returns what Ollama states of both."""
        options = {"num_ctx": context, "num_predict": tokens}
        body = {"model": MODEL, "prompt": prompt, "raw": True, "stream": False}
        answer = self.client.post("/api/generate", json={**body, "options": options})
        answer.raise_for_status()
        stated: dict[str, Any] = answer.json()
        return stated

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


def small_weights() -> Path:
    """The weights of the small model that the mirror has."""
    repository = Repository(paths.mirror(), pins.MODEL[0])
    layers = read(repository, pins.MODEL[1])["layers"]
    (digest,) = [layer["digest"] for layer in layers if layer["mediaType"] == WEIGHTS]
    return repository.blob(digest)


def unpack_bundle(folder: Path) -> Path:
    """Unpack Ollama's bundle into a folder, and return it."""
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
    """Ollama with the weights in the file `model`; it keeps its files in `folder`."""
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
            [bundle / "bin" / "ollama", "create", MODEL, "-f", recipe],
            env=settings,
            check=True,
            capture_output=True,
        )
        yield Server(process, client)
    finally:
        client.close()
        process.terminate()
        process.wait()
