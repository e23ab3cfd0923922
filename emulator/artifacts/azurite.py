"""Azurite, Microsoft's emulator of Azure's storage, whose blobs the emulated accounts have."""

from __future__ import annotations

import shutil
from pathlib import Path

from emulator.artifacts import paths, pins
from emulator.artifacts.artifact import Artifact, replace_folder
from emulator.artifacts.work import Work

PACKAGE = Path(__file__).parent / "azurite_package"
# Scripts of packages are not run: Azurite needs none of them.
_INSTALL = ("npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund")


def build(work: Work) -> None:
    for file in PACKAGE.iterdir():
        shutil.copy(file, work.folder)
    work.run("installing Azurite", _INSTALL)
    replace_folder(work.folder / "node_modules", paths.azurite() / "node_modules")


ARTIFACT = Artifact(
    name="azurite",
    lane="network",
    gib=1,
    recipe=(pins.AZURITE, (PACKAGE / "package-lock.json").read_text()),
    targets=(paths.azurite_blobs(),),
    build=build,
    optional=True,
)
