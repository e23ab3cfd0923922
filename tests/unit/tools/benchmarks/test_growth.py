"""What each further user takes, and what is declared for it."""

from __future__ import annotations

import json

import pytest

from ollamazure.settings.load import parse
from tools.benchmarks.growth import DISK_GIB, MODELS, SIZE, Growth, smallest_models, team_of
from tools.benchmarks.measurement import Spread

pytestmark = pytest.mark.unit


def test_what_each_further_one_takes() -> None:
    growth = Growth((1, 10, 100))
    for seconds in (2.0, 2.9, 20.9):
        growth.add(preview=Spread.of(seconds), memory_of_the_engine=Spread.of(100))
    assert growth.for_each("preview", 1).median == pytest.approx(0.1)
    assert growth.for_each("preview", 2).median == pytest.approx(0.2)
    assert growth.points("memory of the engine")[0] == (1, Spread.of(100))


def test_the_declared_people_are_valid_settings() -> None:
    model = "smollm2:135m"
    team = {key: json.dumps(items) for key, items in team_of(50, 10, 20, 30, model).items()}
    settings = parse({"sshClients": "203.0.113.7", "models": f'["{model}"]', **team})
    counts = [len(settings.users), len(settings.groups), len(settings.presets)]
    assert [*counts, len(settings.prompts)] == [50, 10, 20, 30]
    assert list(team_of(1, 1)) == ["groups", "users"]


def test_the_largest_number_of_models_is_a_valid_stack() -> None:
    models = smallest_models(max(MODELS))
    assert len(set(models)) == max(MODELS)
    stack = {"vmSize": SIZE, "dataDiskGiB": DISK_GIB, "models": json.dumps(models)}
    assert parse({"sshClients": "203.0.113.7", **stack}).models
