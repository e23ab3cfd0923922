"""docs/reference/emulator.md: a program that is not ours, on the emulated Azure."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.engine.stack import PROJECT

PAGE = PROJECT / "docs" / "reference" / "emulator.md"
FOLDER = "../laptop"


def blocks(language: str) -> list[str]:
    """The page's blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def write_project(folder: Path) -> None:
    """The project of the page, with this project's Python."""
    folder.mkdir()
    settings = blocks("yaml")[0].replace("../ollamazure/.venv", str(PROJECT / ".venv"))
    (folder / "Pulumi.yaml").write_text(settings)
    (folder / "__main__.py").write_text(blocks("python")[0])


def commands(folder: Path) -> list[list[str]]:
    """The page's commands for the project."""
    lines = re.findall(r"^    (bin/pulumi-local -C .*)$", PAGE.read_text(), re.MULTILINE)
    return [line.replace(FOLDER, str(folder)).split() for line in lines]


def test_the_program_of_the_page(tmp_path: Path) -> None:
    write_project(folder := tmp_path / "laptop")
    environment = {
        **os.environ,
        "OLLAMAZURE_PLAN": "1",
        "OLLAMAZURE_EMULATOR": str(tmp_path / "emulator"),
    }
    printed = []
    for command in commands(folder):
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    assert len(printed) == 4 and "127.20." in printed[2], printed
    assert not list((tmp_path / "emulator" / "project").glob("*")), "our own project was not run"
