"""Growing the file system in use, on tools that stand for the kernel. A real one: tests/e2e."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from components import remote_command

SCRIPT = remote_command.GUEST / "usr/local/lib/ollamazure/grow-data-disk"
GIB = 2**30
# The kernel notices the new size at the third look, or at once.
TOOLS = {
    "findmnt": "echo /dev/sdc",
    "blockdev": "echo x >>looks; [ $(wc -l <looks) -lt 3 ] && cat before || cat after",
    "sleep": ":",
    "resize2fs": 'echo "$1" >>resized',
}


@pytest.mark.parametrize(
    ("declared", "before", "after"),
    [
        (64, 64, 64),  # as it was: resize2fs finds nothing to do
        (128, 64, 128),
        (0, 512, 512),  # an adopted disk: as large as it is
    ],
)
def test_the_file_system_grows_when_the_kernel_knows_the_new_size(
    tmp_path: Path, declared: int, before: int, after: int
) -> None:
    for name, size in {"before": before, "after": after}.items():
        (tmp_path / name).write_text(str(size * GIB))
    for name, text in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", str(SCRIPT), str(declared)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "resized").read_text() == "/dev/sdc\n"
    looks = len((tmp_path / "looks").read_text().splitlines())
    assert looks == (3 if before < declared else 1)
