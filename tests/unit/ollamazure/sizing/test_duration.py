"""Time limits follow from bytes, the disk of the size and the slowest network."""

from __future__ import annotations

import pytest

from ollamazure import catalog
from ollamazure.catalog import VmSize
from ollamazure.settings.load import parse
from ollamazure.settings.stack import Settings
from ollamazure.sizing import duration
from ollamazure.sizing.plan import make_plan

SIZES = catalog.vm_sizes()


def settings(**given: str) -> Settings:
    return parse({"sshClients": "203.0.113.7", **given})


@pytest.mark.parametrize(
    ("name", "speed"),
    [
        ("Standard_B1s", 10e6),
        ("Standard_B2ms", 22.5e6),
        # The size has 85 MB/s and more, and a Standard SSD has 60.
        ("Standard_B2as_v2", 60e6),
        ("Standard_D32as_v5", 60e6),
        # Microsoft publishes none.
        ("Standard_NC4as_T4_v3", 60e6),
    ],
)
def test_the_slower_of_size_and_disk_decides(name: str, speed: float) -> None:
    assert duration.disk_speed(SIZES[name]) == speed


def test_seconds_are_those_of_the_bytes_twice() -> None:
    b2ms = SIZES["Standard_B2ms"]
    assert duration.seconds(b2ms, download=2.5e9) == 2000
    assert duration.seconds(b2ms, disk=2.25e9) == 200
    assert duration.seconds(b2ms, download=2.5e9, disk=2.25e9) == 2200


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: size.name)
def test_each_model_that_fits_can_be_loaded_before_ollama_gives_up(size: VmSize) -> None:
    fits = size.gpu.memory_gib if size.gpu else size.memory_gib
    whole = fits * 2**30 / duration.disk_speed(size)
    assert duration.load_seconds(size) >= max(300, whole)
    assert duration.answer_seconds(size) > duration.load_seconds(size)


def test_another_model_does_not_restart_ollama() -> None:
    """Its unit has the limit of the plan, so that must not follow from the models."""
    one = make_plan(settings(models="llama3.2:1b", vmSize="Standard_B2ms"))
    two = make_plan(settings(models="llama3.2:1b,qwen3:0.6b", vmSize="Standard_B2ms"))
    assert one.load_seconds == two.load_seconds == 764


def test_a_larger_model_and_a_slower_disk_have_more_time() -> None:
    given = settings(models="llama3.2:1b,qwen3:32b")
    slow, fast = SIZES["Standard_B2ms"], SIZES["Standard_B2as_v2"]
    small, large = (duration.pull_seconds(slow, given, name) for name in given.models)
    assert large > 10 * small
    assert duration.pull_seconds(fast, given, "qwen3:32b") < large
    assert duration.ollama_seconds(fast, given) < duration.ollama_seconds(slow, given)
    assert duration.packages_seconds(fast) < duration.packages_seconds(slow)


def test_each_question_has_its_time() -> None:
    size = SIZES["Standard_B2ms"]
    one, two = settings(models="llama3.2:1b"), settings(models="llama3.2:1b,qwen3:4b")
    assert duration.questions_seconds(size, two) == 2 * duration.questions_seconds(size, one)


def test_a_model_of_unknown_size_has_the_memory_that_is_stated() -> None:
    given = settings(models="x:y", modelMemoryGiB='{"x:y": 4}')
    b2ms = SIZES["Standard_B2ms"]
    alone = duration.seconds(b2ms, download=2**32, disk=2**33)
    assert duration.pull_seconds(b2ms, given, "x:y") == 2 * alone
