"""What the program imports of azure-native."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pulumi_azure_native
import pytest

from components.azure_native import NAMESPACES, Namespace

PROJECT = Path(__file__).resolve().parents[3]


def names_used() -> set[tuple[str, str]]:
    """What components/ uses of azure-native, by namespace; and of variables with such a name."""
    return {
        (node.value.id, node.attr)
        for file in (PROJECT / "components").glob("*.py")
        if "from pulumi_azure_native import" in file.read_text()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in NAMESPACES
    }


def output_of(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout


def test_a_namespace_has_what_azure_natives_own_has() -> None:
    used = names_used()
    assert {namespace for namespace, _ in used} == {*NAMESPACES}
    assert ("network", "get_public_ip_address_output") in used
    program = f"""
from pulumi_azure_native import {", ".join(NAMESPACES)}
for namespace, name in {sorted(used)}:
    found = getattr(globals()[namespace], name, None)
    print(namespace, name, found and found.__module__, found and found.__qualname__)
"""
    assert output_of("import components" + program) == output_of(program)


def test_only_the_modules_of_used_classes_are_imported() -> None:
    program = """
import sys, components.chat
from pulumi_azure_native import network
network.get_virtual_network_output, network.get_virtual_network, network.VirtualNetwork
assert callable(network.get_virtual_network)
print(*sys.modules)
"""
    of_network = {
        name.removeprefix("pulumi_azure_native.network.")
        for name in output_of(program).split()
        if name.startswith("pulumi_azure_native.network.")
    }
    assert {"virtual_network", "get_virtual_network"} <= of_network
    assert not {"azure_firewall", "application_gateway"} & of_network


def test_a_name_that_does_not_exist_is_an_error() -> None:
    network = importlib.import_module("pulumi_azure_native.network")
    assert isinstance(network, Namespace)
    assert network is pulumi_azure_native.network
    with pytest.raises(AttributeError, match="network has no VirtualNetwrk"):
        network.VirtualNetwrk  # noqa: B018
