"""The Pulumi command: the official release, else built from its Go module."""

from __future__ import annotations

import shutil

from emulator.artifacts import golang, paths, pins, release
from emulator.artifacts.artifact import Artifact, replace_folder
from emulator.artifacts.work import Work, unpack

_PIN = pins.CATALOG["pulumi-cli"]
# The module proxy does not serve the clipboard fork that Pulumi replaces this module with by its
# path alone, and a `replace` in a dependency's go.mod does not count.
_CLIPBOARD = (
    "github.com/atotto/clipboard => "
    "github.com/tgummerer/clipboard v0.0.0-20241001131231-d02d263e614e"
)
_FLAGS = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{pins.PULUMI}"


def copy_official(work: Work, base: str) -> None:
    archive = release.fetch(work, base, _PIN) / _PIN["file"]
    replace_folder(unpack(work, archive) / "pulumi", paths.pulumi().parent)


def build(work: Work) -> None:
    program = golang.build(
        work,
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        f"github.com/pulumi/pulumi/pkg/v3 v{pins.PULUMI}",
        flags=_FLAGS,
        replace=_CLIPBOARD,
    )
    result = work.folder / "bin"
    shutil.rmtree(result, ignore_errors=True)
    result.mkdir()
    program.rename(result / "pulumi")
    replace_folder(result, paths.pulumi().parent)


ARTIFACT = Artifact(
    name="pulumi-cli",
    lane="processor",
    gib=4,
    recipe=(pins.PULUMI,),
    targets=(paths.pulumi(),),
    build=build,
    copy_official=copy_official,
    place=_PIN["download"],
)
