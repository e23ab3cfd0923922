"""The emulated machine's root filesystem: Debian 13 with the packages of its cloud image."""

from __future__ import annotations

from emulator.artifacts import debian, paths, pins
from emulator.artifacts.artifact import Artifact, replace_file
from emulator.artifacts.work import Work

# ca-certificates stays: cloud-init depends on it and does not start without it.
_WITHOUT = "chroot $1 dpkg --purge curl zstd"


def build(work: Work) -> None:
    rootfs = debian.root_filesystem(
        work, "trixie", pins.CLOUD_IMAGE_PACKAGES, pins.CLOUD_IMAGE_HOOKS
    )
    replace_file(rootfs, paths.machine_rootfs())


def build_lean(work: Work) -> None:
    rootfs = debian.root_filesystem(
        work, "trixie", pins.CLOUD_IMAGE_PACKAGES, [*pins.CLOUD_IMAGE_HOOKS, _WITHOUT]
    )
    replace_file(rootfs, paths.machine_rootfs(lean=True))


ARTIFACT = Artifact(
    name="machine",
    lane="network",
    gib=2,
    recipe=(pins.MACHINE_RECIPE,),
    targets=(paths.machine_rootfs(),),
    build=build,
)
LEAN = Artifact(
    name="machine-lean",
    lane="network",
    gib=2,
    recipe=(pins.MACHINE_RECIPE, _WITHOUT),
    targets=(paths.machine_rootfs(lean=True),),
    build=build_lean,
    optional=True,
)
