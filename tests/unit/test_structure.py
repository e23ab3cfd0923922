"""The shape of the tree: what may import what, where the tests are, and names that occur once."""

from __future__ import annotations

import ast
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
GUEST = "guest/usr/local/lib/ollamazure"
"""On the machine this folder is the root of imports."""
FOLDERS = ("components", "emulator", GUEST, "ollamazure", "policy", "provider", "tools")

# An area may import itself, what stands here, and what that may import. Nothing points back up.
MAY_IMPORT: dict[str, set[str]] = {
    "ollamazure": set(),  # the modules that are directly in the folder, but for the command
    "ollamazure.catalog": {"ollamazure"},
    "ollamazure.settings": {"ollamazure.catalog"},
    "ollamazure.sizing": {"ollamazure.settings"},
    "ollamazure.preview": {"ollamazure"},
    "ollamazure.azure": {"ollamazure.sizing"},
    "ollamazure.new": {"ollamazure.azure"},
    "ollamazure.operate": {"ollamazure.azure", "ollamazure.preview", "ollamazure.sizing"},
    "ollamazure.review": {"ollamazure.preview", "ollamazure.sizing"},
    "ollamazure.cli": {"ollamazure.new", "ollamazure.operate", "ollamazure.review"},
    "components": {"ollamazure.sizing"},
    "provider": {"components"},
    "__main__": {"components"},
    "policy": {"ollamazure.sizing"},
    "emulator": set(),
    "guest": set(),
    # Maintainers' programs may read everything, and a benchmark deploys as the tests do.
    "tools": {"ollamazure.cli", "components", "provider", "policy", "emulator", "guest", "tests"},
    "tests": set(),
}
# What `components/` contains that is not a ComponentResource.
SHARED_BY_COMPONENTS = {
    *(
        "__init__",
        "deployment",
        "azure_native",
        "objects",
        "outputs",
        "policies",
        "roles",
        "tags",
        "remote_command",
    ),
}
# Tests that are not about one module or one folder.
ABOUT_THE_TREE = {"guide", "renovate", "stacks", "structure", "words", "workflows"}
ABOUT_A_FOLDER = {
    "components/test_cloud.py",  # all that the program has in Azure: network and machine
    "emulator/azure/test_rules.py",  # every rule, wherever it is checked
    "guest/test_commands.py",  # every command that any file of the machine runs
    "guest/test_files.py",  # files that no other test is about
    "ollamazure/review/test_recorded.py",  # the comment from end to end
}


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """The project's Python outside tests/, parsed, by paths from its root."""
    names = [name for name in _tree() if name.endswith(".py") and name.startswith(FOLDERS)]
    return {name: ast.parse((PROJECT / name).read_text()) for name in ["__main__.py", *names]}


def test_no_import_points_back_up(modules: dict[str, ast.Module]) -> None:
    wrong = [
        f"{name}: {area} may not import {target}"
        for name, tree in modules.items()
        for area in [_area(_dotted(name))]
        for target in sorted({_area(imported) for imported in _imported(tree)} & {*MAY_IMPORT})
        if target != area and target not in _reachable(area)
    ]
    assert not wrong, _listed(wrong)


def test_no_modules_import_each_other(modules: dict[str, ast.Module]) -> None:
    """Imports within functions and for types count too: they only hide a circle."""
    by_name = {_dotted(name): tree for name, tree in modules.items()}
    graph = {
        name: {_module(imported, by_name) for imported in _imported(tree)} - {"", name}
        for name, tree in by_name.items()
    }
    circles = []
    while circle := _circle(graph):
        circles.append(" imports ".join(circle))
        graph[circle[0]].discard(circle[1])
    assert not circles, _listed(circles)


def test_a_public_class_name_occurs_once(modules: dict[str, ast.Module]) -> None:
    places = defaultdict(set)
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(name)
    twice = [
        f"{name}: {', '.join(sorted(found))}" for name, found in places.items() if len(found) > 1
    ]
    assert not twice, _listed(twice)


def test_components_are_component_resources(modules: dict[str, ast.Module]) -> None:
    others = [
        name
        for name, tree in modules.items()
        if name.startswith("components/")
        and Path(name).stem not in SHARED_BY_COMPONENTS
        and not {"ComponentResource", "Part"} & {b for node in ast.walk(tree) for b in _bases(node)}
    ]
    assert not others, _listed(others)


def test_nothing_changes_where_python_looks_for_modules(modules: dict[str, ast.Module]) -> None:
    tests = {name: ast.parse((PROJECT / name).read_text()) for name in _tree("tests/*.py")}
    found = [
        f"{name}:{node.lineno}"
        for name, tree in {**modules, **tests}.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path"
    ]
    assert not found, _listed(found)


def test_unit_tests_mirror_the_tree() -> None:
    files = {Path(name) for name in _tree() if not name.startswith("tests/")}
    files |= {folder for file in files for folder in file.parents}
    lost = [
        name
        for name in _tree("tests/unit/**/test_*.py")
        if not _subject_exists(Path(name).relative_to("tests/unit"), files)
    ]
    assert not lost, _listed(lost)


def _subject_exists(test: Path, files: Iterable[Path]) -> bool:
    """Whether the tree has the module or folder that a file of tests is named after."""
    subject = test.stem.removeprefix("test_")
    if (test.parent == Path() and subject in ABOUT_THE_TREE) or test.as_posix() in ABOUT_A_FOLDER:
        return True
    if subject == test.parent.name:  # about the folder as a whole
        return any(_plain(file) == test.parent.as_posix() for file in files)
    # The machine's files are several folders deep.
    return any(
        _plain(Path(file.name.partition(".")[0])) == subject
        and (
            _plain(file.parent) == test.parent.as_posix() or {*test.parts, *file.parts} >= {"guest"}
        )
        for file in files
    )


def _plain(path: Path) -> str:
    """A path as a name of Python has it."""
    return path.as_posix().lower().replace("-", "_")


def _tree(*patterns: str) -> list[str]:
    """Files of the project by path, also those not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--"]
        + [f":(glob){pattern}" for pattern in patterns],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return sorted({name for name in listed if (PROJECT / name).is_file()})


def _dotted(name: str) -> str:
    """The name by which a file is imported; a machine's file as if `guest` were a package."""
    path = Path(name.replace(GUEST, "guest")).with_suffix("")
    return ".".join(path.parent.parts if path.name == "__init__" else path.parts)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(imported: str, modules: Iterable[str]) -> str:
    """The module of the project that holds what is imported; empty for another's."""
    parts = imported.split(".")
    prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    names = [name for prefix in prefixes for name in (prefix, f"guest.{prefix}")]
    return next((name for name in names if name in modules), "")


def _area(dotted: str) -> str:
    """The area of a module, or of something imported from it."""
    parts = dotted.split(".")
    inner = ".".join(parts[:2])
    return inner if inner in MAY_IMPORT else parts[0]


def _reachable(area: str) -> set[str]:
    """All that an area may import, directly or through what it imports."""
    return MAY_IMPORT[area].union(*map(_reachable, MAY_IMPORT[area]))


def _circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _bases(node: ast.AST) -> set[str]:
    if not isinstance(node, ast.ClassDef):
        return set()
    return {ast.unparse(base).rpartition(".")[2] for base in node.bases}


def _listed(findings: list[str]) -> str:
    return f"{len(findings)} findings:\n" + "\n".join(findings)
