"""The estimate of a model's memory against what the pinned Ollama really uses.

The real bundle runs on this machine, without a VM: only its memory is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ollamazure import catalog
from ollamazure.catalog import Model
from ollamazure.sizing.memory import GIB, Load, need
from tests.e2e import gguf
from tests.e2e.served_ollama import serving, small_weights, unpack_bundle

pytestmark = pytest.mark.long

SMALL = "smollm2:135m"
LARGER = gguf.Shape(layers=4, embedding=2048, heads=32, kv_heads=8, feed_forward=8192, context=8192)
MIB = 2**20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_bundle(tmp_path_factory.mktemp("ollama"))


def small(_: Path) -> tuple[Model, Path]:
    file = small_weights()
    size = {"download_gb": file.stat().st_size / 1e9}
    return catalog.models()[SMALL].model_copy(update=size), file


def larger(folder: Path) -> tuple[Model, Path]:
    file = folder / "larger.gguf"
    gguf.write(file, LARGER, like=small_weights())
    shape = {
        "download_gb": file.stat().st_size / 1e9,
        "layers": LARGER.layers,
        "kv_heads": LARGER.kv_heads,
        "key_length": LARGER.head,
        "value_length": LARGER.head,
        "embedding": LARGER.embedding,
    }
    return catalog.models()[SMALL].model_copy(update=shape), file


@pytest.mark.parametrize("parallel", [2, 1])
@pytest.mark.parametrize("made", [small, larger])
def test_the_estimate_is_never_below_the_peak_and_at_most_15_percent_above(
    made: Callable[[Path], tuple[Model, Path]], parallel: int, bundle: Path, tmp_path: Path
) -> None:
    model, file = made(tmp_path)
    with serving(bundle, file, tmp_path, OLLAMA_NUM_PARALLEL=f"{parallel}") as server:
        for context in (1024, 4096, 8192):
            server.ask("one two three four five six seven eight nine ten " * 52, context)
            peak = server.peak(context * parallel)
            estimate = need(model, Load(context, parallel, 1)).total * GIB
            assert peak <= estimate <= peak * 1.15, (
                f"{context} tokens: {estimate / MIB:.0f} MiB estimated, {peak / MIB:.0f} MiB used"
            )


def test_former_conversations_are_kept_up_to_the_limit(bundle: Path, tmp_path: Path) -> None:
    limit = 32 * MIB  # a conversation of this test takes about half of it
    with serving(bundle, small_weights(), tmp_path, LLAMA_ARG_CACHE_RAM="32") as server:
        server.ask("story 0 " * 200, 2048)
        before = server.peak(2048)
        for number in range(1, 7):
            server.ask(f"story {number} " * 200, 2048)
        assert server.peak(2048) - before <= limit * 1.15
