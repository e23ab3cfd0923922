"""The Azure CLI, which `bin/az-local` runs against the emulated Azure."""

from __future__ import annotations

import sys

from emulator.artifacts import paths, pins
from emulator.artifacts.artifact import Artifact, replace_folder
from emulator.artifacts.python_packages import install_locked
from emulator.artifacts.work import Work


def build(work: Work) -> None:
    install_locked(work, packages := work.folder / "packages", pins.AZURE_CLI_LOCK)
    replace_folder(packages, paths.azure_cli())


ARTIFACT = Artifact(
    name="azure-cli",
    lane="network",
    gib=2,
    recipe=(pins.AZURE_CLI_LOCK.read_text(), sys.version.partition(" ")[0]),
    targets=(paths.azure_cli() / "azure" / "cli" / "__main__.py",),
    build=build,
    optional=True,
)
