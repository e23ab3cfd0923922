"""Models of random weights have the sizes of those that they stand for."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ollamazure import catalog
from tests.e2e import gguf
from tools.benchmarks.made_models import FOUR_BILLION, ONE_BILLION, MadeModel

pytestmark = pytest.mark.unit

VOCABULARY = 49152  # words of the small model, whose tokenizer they have


@pytest.mark.parametrize("made", [ONE_BILLION, FOUR_BILLION], ids=lambda made: made.name)
def test_dimensions_and_number_of_weights_are_the_originals(made: MadeModel) -> None:
    model, shape = catalog.models()[made.name], made.shape
    assert (shape.layers, shape.kv_heads, shape.embedding, shape.head) == (
        model.layers,
        model.kv_heads,
        model.embedding,
        model.key_length,
    )
    weights = sum(gguf._product(dimensions) for _, dimensions in shape.tensors(VOCABULARY).values())
    assert weights / 1e9 == pytest.approx(model.parameters, rel=0.01)
    # A block of the quantized weights is in one row.
    assert all(
        dimensions[0] % 32 == 0
        for kind, dimensions in shape.tensors(VOCABULARY).values()
        if kind == gguf.F16
    )


def test_random_weights_fill_the_file(tmp_path: Path) -> None:
    """The sizes are those that the header states, and the norms are ones."""
    like = tmp_path / "like"
    tokens = struct.pack("<IIQ", gguf.ARRAY, gguf.STRING, 32) + b"".join(
        struct.pack("<Q", 1) + bytes([65 + number]) for number in range(32)
    )
    key = b"tokenizer.ggml.tokens"
    like.write_bytes(struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, len(key)) + key + tokens)
    shape = gguf.Shape(layers=1, embedding=64, heads=2, kv_heads=1, feed_forward=96, context=128)
    zeros, random = tmp_path / "zeros", tmp_path / "random"
    gguf.write(zeros, shape, like)
    gguf.write(random, shape, like, random=True)
    content = random.read_bytes()
    sizes = [
        gguf._size(gguf.Q4_1 if kind == gguf.F16 else kind, dimensions)
        for kind, dimensions in shape.tensors(32).values()
    ]
    assert len(content) - sum(sizes) < 2500  # the header, and what aligns the tensors
    assert content.count(struct.pack("<f", 1.0) * 64) >= 2
    assert content.count(gguf.SCALE) == sum(size // 20 for size in sizes if size % 20 == 0)
    assert zeros.stat().st_size > random.stat().st_size
