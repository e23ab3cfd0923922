"""Plan mode under the real engine: commands are recorded, and nothing runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.instance import Instance
from tests.engine.pulumi_project import Project, emulated_azure

pytestmark = pytest.mark.engine

PROGRAM = """
import pulumi
from pulumi_command import remote
it = remote.Command(
    "it",
    connection=remote.ConnectionArgs(host="127.0.0.9", private_key="a-secret-key"),
    stdin=pulumi.Output.secret("a-secret-input"),
    create="touch TOUCHED",
    delete="touch TOUCHED",
    triggers=["TRIGGER"],
)
pulumi.export("stdout", it.stdout)
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with emulated_azure(tmp_path / "instance", plan=True) as opened:
        yield opened


def test_plan_mode_records_and_runs_nothing(tmp_path: Path, instance: Instance) -> None:
    touched = tmp_path / "touched"
    first = PROGRAM.replace("TOUCHED", str(touched)).replace("TRIGGER", "1")
    (tmp_path / "project").mkdir()
    tested = Project(tmp_path / "project", instance, first)
    shown = tested.up().ok().text
    assert tested.run("preview", "--expect-no-changes").ok()
    tested.write(first.replace("secret-input", "new-input"))
    assert "1 updated" in tested.up().ok().text
    tested.write(first.replace('"1"', '"2"'))
    assert "1 replaced" in tested.up().ok().text
    tested.run("destroy", "--yes", "--skip-preview").ok()
    assert not touched.exists()

    lines = (instance.home / "recorder.jsonl").read_text()
    for secret in ("a-secret-input", "a-new-input", "a-secret-key"):
        assert secret not in lines + shown
        assert secret not in tested.stored()
    recorded = [json.loads(line) for line in lines.splitlines()]
    assert [line["operation"] for line in recorded] == [
        *("create", "update", "create", "delete", "delete")
    ]
    assert {line["command"] for line in recorded} == {f"touch {touched}"}
    assert {line["stdin"] for line in recorded} == {"[secret]"}
    assert {(line["host"], line["user"]) for line in recorded} == {("127.0.0.9", "root")}
