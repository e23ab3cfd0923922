"""Packages from PyPI, through pip: programs and files as well as Python code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

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


def install_locked(work: Work, target: Path, lock: Path) -> None:
    """Install exactly the packages that a lock file names, for this Python, into `target`."""
    work.run(
        f"installing the packages of {lock.name} from PyPI",
        [*PIP, "install", "--no-deps", "--no-compile", f"--target={target}", "--requirement", lock],
    )


def _find(folder: Path, package: str) -> list[Path]:
    return sorted(folder.glob(f"{package.replace('-', '_')}-*"))
