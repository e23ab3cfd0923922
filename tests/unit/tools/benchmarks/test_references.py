"""The reference programs register what they claim to."""

from __future__ import annotations

import runpy

import pytest

from tests.unit.components.recorder import Recorder, record
from tools.benchmarks.pulumi_reference import REFERENCES

pytestmark = pytest.mark.unit

CALLS = {"azure-native:compute:getVirtualMachine": {"vmId": "an id"}}
OUTPUTS = {
    name: {"publicKeyOpenssh": "ssh-ed25519 AAAA\n", "privateKeyOpenssh": "a key"}
    for name in ("key", "key-admin", "key-host")
}


def run(name: str) -> Recorder:
    program = str(REFERENCES / name / "__main__.py")
    return record(lambda: runpy.run_path(program), stack="reference", outputs=OUTPUTS, calls=CALLS)


def test_resources_of_the_same_four_providers() -> None:
    recorded = run("resources").resources
    custom = [resource for resource in recorded if resource.custom]
    assert len(custom) == 35
    providers = {resource.type.split(":")[0] for resource in custom}
    assert providers == {"azure-native", "command", "random", "tls"}


def test_empty_components() -> None:
    recorded = run("components").resources
    components = [one for one in recorded if one.type == "reference:index:Empty"]
    assert len(components) == 35 and not any(one.custom for one in recorded)


def test_the_guides_machine_has_only_what_azure_makes() -> None:
    types = {resource.type for resource in run("guide").resources if resource.custom}
    assert "azure-native:compute:VirtualMachine" in types
    assert not {type_ for type_ in types if type_.startswith("command")}
