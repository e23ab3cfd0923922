"""Every command that runs on the machine comes from a package that is certainly installed.

These are the packages that cloud-init installs (`packages:`), those of Debian's cloud image
(emulator/artifacts/cloud-image-packages.txt), and Debian's essential packages.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_bash
import yaml

from components import machine
from tests.unit.components.test_cloud import whole_program
from tests.unit.guest import tree

PROJECT = Path(__file__).resolve().parents[3]
GUEST = PROJECT / "guest"
_TABLE = yaml.safe_load((PROJECT / "tests/unit/guest/packages_of_commands.yaml").read_text())
PACKAGES: dict[str, str] = _TABLE["commands"] | _TABLE["gpu"] | _TABLE["acme"]
ESSENTIAL, BUILTIN = frozenset(_TABLE["essential"]), frozenset(_TABLE["builtin"])
FIRST_BOOT = yaml.safe_load(machine.render_user_data("key", "ssh-ed25519 key", gpu=True))
OURS = {path.name.removesuffix(".j2") for path in tree.files()}
_BASH = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def commands_of_shell(text: str) -> set[str]:
    """Names of the commands in a bash script, also in one that it carries as a here-document."""
    nodes = list(_nodes(_BASH.parse(text.encode()).root_node))
    called = {_text(node) for node in nodes if node.type == "command_name"}
    for node in nodes:
        if node.type == "heredoc_body" and "set -euo pipefail" in _text(node):
            called |= commands_of_shell(_text(node))
    # After sudo and flock another command follows.
    called |= set(re.findall(r"\bsudo (?:-\S+ )*([a-z][\w.-]*)", text))
    return {name for name in called if re.fullmatch(r"[\w.\[:+/-]+", name)} - functions_of(text)


def functions_of(text: str) -> set[str]:
    """Names of the functions that a bash script defines."""
    return {
        _text(name)
        for node in _nodes(_BASH.parse(text.encode()).root_node)
        if node.type == "function_definition" and (name := node.child_by_field_name("name"))
    }


def _nodes(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def commands_of_python(text: str) -> set[str]:
    """Programs that a Python script starts: first words of literal argument lists."""
    lists = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.List)]
    first = [node.elts[0] for node in lists if node.elts and len(node.elts) > 1]
    words = [node.value for node in first if isinstance(node, ast.Constant)]
    return {word for word in words if isinstance(word, str) and word in PACKAGES}


def scripts() -> dict[str, set[str]]:
    """Everything that runs on the machine, with the commands it uses."""
    found: dict[str, set[str]] = {}
    functions = functions_of((GUEST / "usr/local/lib/ollamazure/lib.sh").read_text())
    for path in tree.files():
        text = path.read_text()
        if re.match(r"#!.*\b(ba)?sh\b", text) or path.suffix == ".sh":
            found[str(path.relative_to(PROJECT))] = commands_of_shell(text)
        elif path.suffix == ".py":
            found[str(path.relative_to(PROJECT))] = commands_of_python(text)
        for line in re.findall(r"^Exec\w*=[-+!@:]*(\S+)", text, re.MULTILINE):
            found.setdefault(str(path.relative_to(PROJECT)), set()).add(line)
    for step in whole_program("local").of("command:remote:Command"):
        for key in ("create", "stdin", "delete"):
            if script := step.inputs.get(key):
                found[f"{step.name} ({key})"] = commands_of_shell(str(script)) | {"flock"}
    first_boot = FIRST_BOOT["runcmd"]
    found["cloud-init"] = {line[0] for line in first_boot}
    found["cloud-init"] |= {
        name for line in first_boot if line[0] == "sh" for name in commands_of_shell(line[-1])
    }
    return {where: names - BUILTIN - functions for where, names in found.items()}


@pytest.fixture(scope="module")
def uses() -> list[tuple[str, str]]:
    """Each place with a command that it uses."""
    return [(where, name) for where, names in scripts().items() for name in names]


def test_each_command_has_a_package_that_is_installed(uses: list[tuple[str, str]]) -> None:
    image = (PROJECT / "emulator/artifacts/cloud-image-packages.txt").read_text().splitlines()
    by_commands = _TABLE["acme"].values()
    installed = {*FIRST_BOOT["packages"], *image, *ESSENTIAL, *by_commands}
    for where, name in uses:
        if _is_ours(name):
            continue
        package = PACKAGES.get(name.rpartition("/")[2])
        assert package, f"{where} uses {name}; tests/unit/guest/packages_of_commands.yaml misses it"
        assert package in installed, f"{where} uses {name} of {package}, which nothing installs"


def test_podman_finds_what_it_unpacks_images_with() -> None:
    """Without these it does so itself, more slowly (`DecompressStream` of containers/storage)."""
    assert {"pigz", "zstd"} <= {*FIRST_BOOT["packages"]}


def _is_ours(name: str) -> bool:
    """Installed by this project: a guest file, or Ollama itself."""
    return name == "/usr/local/bin/ollama" or name.rpartition("/")[2] in OURS


def test_the_list_of_packages_has_only_commands_that_are_used(uses: list[tuple[str, str]]) -> None:
    used = {name.rpartition("/")[2] for _, name in uses}
    assert set(PACKAGES) - used == set()
