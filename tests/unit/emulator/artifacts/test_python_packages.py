"""A folder of Python packages that a lock file pins."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from emulator.artifacts import pins, python_packages
from emulator.artifacts.work import Work

pytestmark = pytest.mark.unit


def make_wheel(folder: Path, version: str) -> None:
    """A package `pinned` that needs one which cannot be had."""
    info = f"pinned-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: pinned\nVersion: {version}\n"
    files = {
        "pinned.py": f"print('{version}')\n",
        f"{info}/METADATA": f"{head}Requires-Dist: none-such\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"pinned-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def test_it_has_what_the_lock_file_pins_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path, version)
    (tmp_path / "few.txt").write_text("pinned==1.0\n")
    monkeypatch.setattr(pins, "lock_file", lambda name: tmp_path / f"{name}.txt")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    python_packages.locked("few", gib=1).build(Work(tmp_path / "work", lambda _: None))

    def run(code: str) -> subprocess.CompletedProcess[str]:
        command = [*python_packages.python_with("few"), "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("import pinned").stdout == "1.0\n"
    assert "No module named 'yaml'" in run("import yaml").stderr
