"""The copies of the stack files that Pulumi sees. The rest: tests/engine/test_program.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.artifacts import paths, pins
from emulator.artifacts.oci import digest_of
from emulator.instance import Instance
from emulator.scratch import ScratchProject

NGINX = pins.CATALOG["nginx"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScratchProject:
    """A scratch project on a host that has built an image of Nginx."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OLLAMAZURE_PLAN", raising=False)
    manifest = paths.manifest(NGINX["repository"], NGINX["tag"])
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b"built here")
    return ScratchProject(Instance(tmp_path / "home", "123456", 0))


def settings_of(project: ScratchProject) -> dict[str, Any]:
    project.lay_out()
    text = (project.folder / "Pulumi.local.yaml").read_text()
    config: dict[str, Any] = yaml.safe_load(text)["config"]
    return config


def set_version(project: ScratchProject, version: str) -> None:
    """What `pulumi-local config set` does."""
    file = project.folder / "Pulumi.local.yaml"
    copy = yaml.safe_load(file.read_text())
    copy["config"]["ollamazure:nginxVersion"] = version
    file.write_text(yaml.safe_dump(copy))
    project.keep_settings("local")


def test_an_image_that_was_built_here_has_its_own_digest(project: ScratchProject) -> None:
    built = f"{NGINX['tag']}@{digest_of(b'built here')}"
    settings = settings_of(project)
    assert settings["ollamazure:nginxVersion"] == built
    assert "ollamazure:webuiVersion" not in settings, "no such image was built"

    set_version(project, "1.29.0")
    assert settings_of(project)["ollamazure:nginxVersion"] == "1.29.0"
    set_version(project, NGINX["tag"])
    assert settings_of(project)["ollamazure:nginxVersion"] == built


def test_the_digest_is_no_setting_of_the_user(project: ScratchProject) -> None:
    settings_of(project)
    project.keep_settings("local")
    manifest = paths.manifest(NGINX["repository"], NGINX["tag"])
    manifest.write_bytes(b"built again")
    again = settings_of(project)["ollamazure:nginxVersion"]
    assert again == f"{NGINX['tag']}@{digest_of(b'built again')}"


def test_plan_mode_previews_the_same_whatever_was_built(
    project: ScratchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMAZURE_PLAN", "1")
    assert "ollamazure:nginxVersion" not in settings_of(project)
