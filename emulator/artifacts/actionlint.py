"""actionlint, which `make check` reads the workflows with: built from its Go module."""

from __future__ import annotations

from emulator.artifacts import golang, paths, pins
from emulator.artifacts.artifact import Artifact, replace_file
from emulator.artifacts.work import Work

_MODULE = "github.com/rhysd/actionlint"


def build(work: Work) -> None:
    program = golang.build(
        work,
        f"{_MODULE}/cmd/actionlint",
        f"{_MODULE} v{pins.ACTIONLINT}",
        flags=f"-X {_MODULE}.version={pins.ACTIONLINT}",
    )
    replace_file(program, paths.actionlint())


ARTIFACT = Artifact(
    name="actionlint",
    lane="processor",
    gib=1,
    recipe=(pins.ACTIONLINT,),
    targets=(paths.actionlint(),),
    build=build,
    optional=True,
)
