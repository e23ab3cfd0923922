"""Dex, an OpenID provider for the tests of signing in: built from its Go module."""

from __future__ import annotations

from emulator.artifacts import golang, paths, pins
from emulator.artifacts.artifact import Artifact, replace_file
from emulator.artifacts.work import Work

_MODULE = "github.com/dexidp/dex"


def build(work: Work) -> None:
    program = golang.build(
        work,
        f"{_MODULE}/cmd/dex",
        f"{_MODULE} {pins.DEX}",
        flags="",
        # Its own go.mod names a folder of the repository instead, which a module does not contain.
        replace=f"{_MODULE}/api/v2 => {_MODULE}/api/v2 {pins.DEX_API}",
    )
    replace_file(program, paths.dex())


ARTIFACT = Artifact(
    name="dex",
    lane="processor",
    gib=3,
    recipe=(pins.DEX, pins.DEX_API),
    targets=(paths.dex(),),
    build=build,
    optional=True,
)
