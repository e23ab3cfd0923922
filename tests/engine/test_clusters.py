"""A cluster, a database and a cache under the real engine, in plan mode."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.azure.fabric import NullFabric
from emulator.azure.service import Azure
from tests.engine.pulumi_project import Project, emulated_azure

pytestmark = pytest.mark.engine

PROGRAM = (Path(__file__).parent / "cluster_program.py").read_text()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("cluster") / "project"
    folder.mkdir()
    with emulated_azure(folder / "emulator", plan=True) as instance:
        project = Project(folder, instance, PROGRAM)
        project.environment["OLLAMAZURE_PLAN"] = "1"
        project.up().ok()
        yield project
        project.run("destroy", "--yes", "--skip-preview").ok()
        assert not Azure(instance, NullFabric()).store.read().resources


def test_a_preview_after_a_refresh_shows_no_change(project: Project) -> None:
    """The first refresh finds the pool in the list of its cluster, the second finds nothing."""
    project.run("refresh", "--yes", "--skip-preview").ok()
    project.run("preview", "--expect-no-changes").ok()
    project.run("refresh", "--yes", "--skip-preview", "--expect-no-changes").ok()


def test_secrets_are_outputs_and_in_no_file(project: Project) -> None:
    outputs = project.outputs()
    kubeconfig = json.loads(base64.b64decode(outputs["kubeconfig"]))
    assert kubeconfig["clusters"][0]["cluster"]["server"].endswith(".azmk8s.io:443")
    assert outputs["host"] == "chat-0123456789ab.postgres.database.azure.com"
    stored = project.stored()
    assert "hush-hush" not in stored
    assert outputs["cacheKey"] not in stored


def test_another_number_of_nodes_changes_only_its_pool(project: Project) -> None:
    shown = project.run("preview", "--json", environment={"NODES": "3"}).ok().text
    steps = json.loads(shown[shown.index("{") :])["steps"]
    changed = {
        step["urn"].rsplit("::", 1)[-1]: step["op"] for step in steps if step["op"] != "same"
    }
    assert changed == {"pool": "update"}
