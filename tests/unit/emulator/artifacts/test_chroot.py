"""A command runs in a tree with files added, and the tree stays as it was."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import zstandard

from emulator.artifacts import chroot

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(os.geteuid() != 0, reason="changing the root folder takes root"),
]


def test_the_command_sees_the_files_and_the_tree_does_not_change() -> None:
    name = "/olz-test/hello"
    done = chroot.run(Path("/"), ["sh", "-c", f"cat {name}; echo changed > {name}"], {name: "hi\n"})
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    assert not Path(name).parent.exists()


def test_scripts_are_executable_there_and_failures_are_returned() -> None:
    script = {"/olz-test": "#!/bin/sh\necho why >&2\nexit 3\n"}
    done = chroot.run(Path("/"), ["/olz-test"], script)
    assert (done.returncode, done.stderr) == (3, b"why\n")


@pytest.mark.parametrize("packed", [False, True])
def test_a_tree_is_unpacked_once(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("one")
    archive = tmp_path / "archive"
    subprocess.run(["tar", "-cf", archive, "-C", tmp_path / "source", "file"], check=True)
    if packed:
        archive.write_bytes(zstandard.compress(archive.read_bytes()))
    tree = chroot.unpack_once(archive, tmp_path / "tree")
    assert (tree / "file").read_text() == "one"
    archive.unlink()
    assert chroot.unpack_once(archive, tmp_path / "tree") == tree
