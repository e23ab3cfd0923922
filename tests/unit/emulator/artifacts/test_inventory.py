"""Artifacts are shared by all clones of the project."""

from __future__ import annotations

import pytest

from emulator.artifacts.artifact import Artifact
from emulator.artifacts.inventory import ALL
from emulator.instance import PROJECT

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("artifact", ALL, ids=lambda artifact: artifact.name)
def test_a_recipe_does_not_depend_on_where_the_clone_is(artifact: Artifact) -> None:
    assert str(PROJECT) not in " ".join(artifact.recipe)
