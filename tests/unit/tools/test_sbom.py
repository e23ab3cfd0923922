"""The bill of materials has everything that is pinned, and fits CycloneDX's own schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from emulator.instance import PROJECT
from ollamazure import catalog
from tools import sbom


@pytest.fixture(scope="module")
def text() -> str:
    return sbom.text_of("1.2.3")


@pytest.fixture(scope="module")
def parts(text: str) -> dict[str, dict[str, Any]]:
    """The components by name."""
    return {part["name"]: part for part in json.loads(text)["components"]}


def test_it_fits_the_schema(text: str) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"version": "1.2.3"', '"version": 1'))


def test_every_python_package_of_users_has_its_pin_and_its_licence(
    parts: dict[str, dict[str, Any]],
) -> None:
    pins = [line for line in (PROJECT / "requirements.txt").read_text().split() if "==" in line]
    listed = {part["purl"] for part in parts.values()}
    assert {f"pkg:pypi/{pin.replace('==', '@')}" for pin in pins} <= listed
    packages = [part for part in parts.values() if part["purl"].startswith("pkg:pypi/")]
    assert "grpcio" in parts, "what the pinned packages need is in it"
    assert "pytest" not in parts, "what only developers need is not"
    assert [part["name"] for part in packages if not part.get("licenses")] == []


def test_it_has_the_images_ollama_and_the_packages_of_the_machine(
    parts: dict[str, dict[str, Any]],
) -> None:
    pins = catalog.versions()
    nginx = parts["docker.io/library/nginx"]
    assert nginx["version"] == pins.nginx.tag
    digest = pins.nginx.digests[pins.nginx.tag].removeprefix("sha256:")
    assert nginx["purl"].startswith("pkg:oci/nginx@sha256") and digest in nginx["purl"]
    assert parts["ollama"]["purl"] == f"pkg:github/ollama/ollama@v{pins.ollama.version}"
    assert parts["podman"]["purl"] == "pkg:deb/debian/podman?distro=debian-13"
    assert (parts["podman"]["scope"], parts["nvidia-smi"]["scope"]) == ("required", "optional")
