"""Run a command in an artifact's file system, for checks that need a program of the machine.

`cloud-init schema`, `systemd-analyze verify` and `nginx -t` run with the files of the machine or
the image, so the host needs none of these programs. The tree itself never changes: the command sees
an overlay that disappears with it. Needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import zstandard

from emulator.artifacts import paths, pins
from emulator.artifacts.oci import Repository
from emulator.instance import cache_folder

# In a mount namespace of its own, so that nothing is left whatever happens to the command.
_INSIDE = """
set -eu
lower=$1 scratch=$2
shift 2
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
layers="lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work"
mount -t overlay -o "$layers" overlay "$scratch/root"
mkdir -p "$scratch/root/dev"
mount -t proc proc "$scratch/root/proc"
mount --rbind /dev "$scratch/root/dev"
tar --extract --no-same-owner --directory "$scratch/root"
exec chroot "$scratch/root" "$@"
"""


def machine_tree() -> Path:
    """The machine's root filesystem, unpacked once."""
    archive = paths.machine_rootfs()
    return unpack_once(archive, archive.with_name("tree"))


def nginx_tree() -> Path:
    """The Nginx image's filesystem, unpacked once."""
    pin = pins.CATALOG["nginx"]
    manifest = json.loads(paths.manifest(pin["repository"], pin["tag"]).read_text())
    layer = Repository(paths.mirror(), pin["repository"]).blob(manifest["layers"][0]["digest"])
    return unpack_once(layer, cache_folder() / "trees" / f"nginx-{layer.name[-12:]}")


def run(
    tree: Path, command: Sequence[str], files: Mapping[str, str | bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `command` in `tree` with `files` (content by absolute path) added.

    A command that fails raises nothing: its exit code and output are in what is returned.
    """
    with tempfile.TemporaryDirectory(prefix="olz-chroot-") as scratch:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", _INSIDE, "sh", tree, scratch, *command],
            input=_tar(files or {}),
            capture_output=True,
            check=False,
        )


def unpack_once(archive: Path, target: Path) -> Path:
    """Unpack a tar file (zstd or not) into `target`, unless that exists; returns `target`."""
    if not target.exists():
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        part.mkdir(parents=True)
        with archive.open("rb") as file:
            packed = file.read(4) == zstandard.FRAME_HEADER
        form = ["--zstd"] if packed else []
        subprocess.run(
            ["tar", "--extract", *form, "--file", archive, "--directory", part], check=True
        )
        try:
            part.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(part)
    return target


def _tar(files: Mapping[str, str | bytes]) -> bytes:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(data), 0o755 if data.startswith(b"#!") else 0o644
            tar.addfile(member, BytesIO(data))
    return packed.getvalue()
