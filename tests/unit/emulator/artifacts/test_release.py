"""An official release is used only if it has the checksum published with it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from emulator.artifacts import ollama, paths, pins, pulumi_cli
from emulator.artifacts.work import BuildError, Work
from tests.unit.emulator.artifacts.loopback import Server, serving

pytestmark = pytest.mark.unit
BUNDLE = b"the bundle" * 100
RELEASE = f"/v{pins.OLLAMA}"


def release(checksum: str) -> Server:
    return Server(
        files={
            f"{RELEASE}/ollama-linux-amd64.tar.zst": BUNDLE,
            f"{RELEASE}/sha256sum.txt": f"{checksum}  ./ollama-linux-amd64.tar.zst\n".encode(),
        }
    )


def test_the_release_and_its_checksums_are_mirrored(tmp_path: Path) -> None:
    with serving(release(hashlib.sha256(BUNDLE).hexdigest())) as server:
        ollama.copy_official(Work(tmp_path / "work", print), server.url)
    assert (paths.ollama_bundle() / "ollama-linux-amd64.tar.zst").read_bytes() == BUNDLE
    assert (paths.ollama_bundle() / "sha256sum.txt").exists()


def test_a_bundle_with_another_checksum_is_refused(tmp_path: Path) -> None:
    with serving(release("0" * 64)) as server, pytest.raises(BuildError, match="SHA-256"):
        ollama.copy_official(Work(tmp_path / "work", print), server.url)
    assert not paths.ollama_bundle().exists()


def test_a_release_without_this_bundle_is_an_error(tmp_path: Path) -> None:
    with serving(release("")) as server:
        server.files[f"{RELEASE}/sha256sum.txt"] = b"0  ./other.tar.zst\n"
        with pytest.raises(BuildError, match=r"does not name ollama-linux-amd64\.tar\.zst"):
            ollama.copy_official(Work(tmp_path / "work", print), server.url)


def test_pulumis_release_is_unpacked_with_its_language_hosts(tmp_path: Path) -> None:
    (tmp_path / "pulumi").mkdir()
    for program in ("pulumi", "pulumi-language-python"):
        (tmp_path / "pulumi" / program).write_text("#!/bin/sh\n")
    packed = subprocess.run(
        ["tar", "-czf", "-", "-C", tmp_path, "pulumi"], check=True, capture_output=True
    ).stdout
    name = f"pulumi-v{pins.PULUMI}-linux-x64.tar.gz"
    listed = f"{hashlib.sha256(packed).hexdigest()}  {name}\n".encode()
    release = f"/v{pins.PULUMI}"
    files = {
        f"{release}/{name}": packed,
        f"{release}/pulumi-{pins.PULUMI}-checksums.txt": listed,
    }
    with serving(Server(files=files)) as server:
        pulumi_cli.copy_official(Work(tmp_path / "work", print), server.url)
    assert paths.pulumi().exists()
    assert (paths.pulumi().parent / "pulumi-language-python").exists()
