"""What the host lacks or refuses is reported, with the command that fixes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.azure.fabric import FabricError
from emulator.host.commands import remove_folder, require_programs, run
from emulator.host.disks import make_or_grow


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FabricError, match=r"needs nft .*apt-get install nftables"):
        run(["nft", "list", "tables"])
    with pytest.raises(FabricError, match=r"apt-get install .*podman.*slirp4netns"):
        require_programs()


def test_the_error_of_a_failing_program_has_its_output() -> None:
    with pytest.raises(FabricError, match="ended with 3: no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 3"])


def test_a_full_host_refuses_a_disk_and_says_what_to_do(tmp_path: Path) -> None:
    """A file system of 8 MiB, in a mount namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    script = (
        f"mount -t tmpfs -o size=8m tmpfs {tmp_path} && exec {sys.executable} -c '"
        "from pathlib import Path; from emulator.host.disks import make_or_grow; "
        f'make_or_grow(Path("{tmp_path}/data.disk"), 64)\''
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert "AllocationFailed: The host has 0.0 GiB free" in done.stderr
    assert "OLLAMAZURE_EMULATOR=DIR" in done.stderr


def test_a_folder_goes_with_immutable_files(tmp_path: Path) -> None:
    folder = tmp_path / "root" / "srv"
    folder.mkdir(parents=True)
    marked = subprocess.run(["chattr", "+i", folder], capture_output=True, check=False)
    if marked.returncode:
        pytest.skip("this file system knows no immutable files")
    remove_folder(tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_disk_is_sparse_and_never_shrinks(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("asking for loop devices takes root")
    disk = tmp_path / "data.disk"
    make_or_grow(disk, 64)
    assert disk.stat().st_size == 64 << 30
    assert disk.stat().st_blocks == 0
    make_or_grow(disk, 32)
    assert disk.stat().st_size == 64 << 30
