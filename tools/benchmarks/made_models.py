"""Models made here, of random weights: for memory and speed, not for answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ollamazure import catalog
from ollamazure.catalog import Model
from tests.e2e import gguf
from tests.e2e.served_ollama import small_weights


@dataclass(frozen=True)
class MadeModel:
    """A model of the catalog whose dimensions the made one has."""

    name: str
    shape: gguf.Shape

    def write(self, file: Path) -> Model:
        """Write the weights (Q4_1); returns the catalog's entry with the size of the file."""
        gguf.write(file, self.shape, small_weights(), random=True)
        size = {"download_gb": file.stat().st_size / 1e9}
        return catalog.models()[self.name].model_copy(update=size)


# The tokenizer is the small model's, with a quarter of the words or less. The feed-forward layers
# are wider than the originals', so that the number of weights is the same.
ONE_BILLION = MadeModel(
    "llama3.2:1b",
    gguf.Shape(layers=16, embedding=2048, heads=32, kv_heads=8, feed_forward=9824, context=8192),
)
FOUR_BILLION = MadeModel(
    "phi4-mini:3.8b",
    gguf.Shape(layers=32, embedding=3072, heads=24, kv_heads=8, feed_forward=9760, context=8192),
)
