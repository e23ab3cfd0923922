"""Pulumi's official azure-native on the emulated Azure does what our own plugin does.

pulumi plugin install resource azure-native VERSION
OLLAMAZURE_AZURE_NATIVE=official .venv/bin/python -m pytest tests/engine/test_official_plugin.py
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from emulator.artifacts import paths
from emulator.cli import AZURE_NATIVE, official_environment, start_front
from emulator.plugins import install
from tests.engine.pulumi_project import Project, emulated_azure

pytestmark = pytest.mark.skipif(
    os.environ.get(AZURE_NATIVE) != "official",
    reason=f"the official azure-native was not requested: {AZURE_NATIVE}=official",
)

PROGRAM = (Path(__file__).parent / "azure_program.py").read_text()
EDIT = {"EDIT": json.dumps({"everything": True}), "OLLAMAZURE_PLAN": "1"}
# What Azure chooses again each time.
CHOSEN = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}"
    r"|\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)|127\.20\.\d+\.\d+"
)


def deploy(folder: Path, monkeypatch: pytest.MonkeyPatch, *, official: bool) -> dict[str, Any]:
    """Deploy, preview, and destroy; returns the resources of Azure as the state had them."""
    folder.mkdir()
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    with emulated_azure(folder / "emulator", plan=True) as instance:
        project = Project(folder, instance, PROGRAM)
        if official:
            install.install(instance, paths.pulumi(), official_azure=True, plan=True)
            project.environment |= official_environment(start_front(instance))
        assert install.emulated_azure_answers(instance) != official
        project.up(**EDIT).ok()
        project.run("preview", "--expect-no-changes", environment=EDIT).ok()
        project.run("refresh", "--yes", "--expect-no-changes", environment=EDIT).ok()
        made = {
            name: resource
            for name, resource in project.resources().items()
            if resource["type"].startswith("azure-native:")
        }
        project.run("destroy", "--yes", "--skip-preview", environment=EDIT).ok()
    return made


def test_both_plugins_make_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = deploy(tmp_path / "ours", monkeypatch, official=False)
    official = deploy(tmp_path / "official", monkeypatch, official=True)
    assert ours.keys() == official.keys()
    for name, resource in ours.items():
        for part in ("inputs", "outputs"):
            assert _comparable(resource[part]) == _comparable(official[name][part]), name


def _comparable(value: dict[str, Any]) -> Any:
    """Without what differs from one deployment to the next, and without the plugin's own notes."""
    kept = {name: each for name, each in value.items() if not name.startswith("__")}
    return json.loads(CHOSEN.sub("chosen", json.dumps(kept)))
