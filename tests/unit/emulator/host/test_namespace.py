"""How Podman is started for one instance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator.host.namespace import Podman
from emulator.host.places import Places
from emulator.instance import Instance

pytestmark = pytest.mark.unit


def test_temporary_files_of_conmon_are_in_the_instances_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removal deletes that folder, and with it the socket of a killed conmon."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {
        "podman": '${1#--conmon=} --version "two words"',
        "nsenter": 'shift; exec "$@"',
        "conmon": 'echo "$TMPDIR" "$2"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(Places, "run", tmp_path / "run")
    monkeypatch.setattr(Podman, "_make_namespace", lambda podman: None)
    podman = Podman(Places(Instance(tmp_path / "home", "abcdef", 7)))
    assert podman("version") == f"{tmp_path / 'run' / 'conmon'} two words\n"
    assert podman("version") == f"{tmp_path / 'run' / 'conmon'} two words\n"
