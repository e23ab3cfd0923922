"""Every package of the environment has an exact version, also those that others bring along."""

from __future__ import annotations

import re
from importlib.metadata import distributions

import pytest

from emulator.instance import PROJECT

pytestmark = pytest.mark.unit


def test_every_installed_package_is_pinned() -> None:
    # Those for clusters are not installed: Pulumi would install their plugin for every stack.
    names = ("requirements.txt", "requirements-dev.txt", "requirements-no-deps.txt")
    lists = [PROJECT / name for name in (*names, "constraints.txt")]
    lines = [line for path in lists for line in path.read_text().splitlines()]
    pinned = {normal(line) for line in lines if "==" in line}
    installed = {normal(f"{dist.name}=={dist.version}") for dist in distributions()}
    # pip's own, and the project itself, which `pulumi install` and the package's tests install.
    own = {line for line in installed if line.split("==")[0] in {"pip", "setuptools", "ollamazure"}}
    assert installed - own == pinned, "run tools/lock.sh after a pin has changed"


def normal(pin: str) -> str:
    name, version = pin.split("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"
