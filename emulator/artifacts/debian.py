"""Minimal Debian root filesystems, made by mmdebstrap from Debian's own packages."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from emulator.artifacts.work import Work

# An image must not contain the host's resolver and name, nor the settings that sped up its build.
_TIDY = (
    "--customize-hook=rm -f $1/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "--customize-hook=rm -rf $1/usr/share/doc/* $1/usr/share/man/*",
    "--customize-hook=rm -f $1/etc/resolv.conf $1/etc/hostname",
)


def root_filesystem(
    work: Work, suite: str, packages: Sequence[str], hooks: Sequence[str] = ()
) -> Path:
    """A tar file with Debian's `suite` and `packages`.

    `hooks` are mmdebstrap's customize hooks: `$1` is the tree, `copy-in` copies files of the host.
    """
    for left_over in work.folder.glob("mmdebstrap.*"):
        shutil.rmtree(left_over)
    target = work.folder / "rootfs.tar"
    work.run(
        f"installing Debian {suite} with {len(packages)} packages",
        [
            "mmdebstrap",
            "--variant=minbase",
            "--skip=output/dev",
            "--dpkgopt=force-unsafe-io",
            f"--include={','.join(packages)}",
            *(f"--customize-hook={hook}" for hook in hooks),
            *_TIDY,
            suite,
            target,
        ],
        env={"TMPDIR": str(work.folder)},
    )
    return target
