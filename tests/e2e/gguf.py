"""A model of any shape for the real Ollama, with the tokenizer of a given model.

Only what decides memory and speed counts. Weights are zeros in a sparse file, which takes no space,
or random ones in 4 bits. The format is described in
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, the blocks in ggml's ggml-common.h.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ALIGNMENT = 32
F32, F16, Q4_1 = 0, 1, 3
# Weights in a block, and bytes of the block.
BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_1: (32, 20)}
# Of Q4_1: the factor and the offset of a block, as f16. With them, no layer gains or loses much.
SCALE = struct.pack("<ee", 0.006, -0.045)
UINT32, FLOAT32, STRING, ARRAY = 4, 6, 8, 9
FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


@dataclass(frozen=True)
class Shape:
    """A model in the manner of Llama."""

    layers: int
    embedding: int
    heads: int
    kv_heads: int
    feed_forward: int
    context: int

    @property
    def head(self) -> int:
        """Length of a key, and of a value."""
        return self.embedding // self.heads

    def settings(self) -> dict[str, int]:
        """The keys of the file that say it."""
        return {
            "llama.block_count": self.layers,
            "llama.embedding_length": self.embedding,
            "llama.attention.head_count": self.heads,
            "llama.attention.head_count_kv": self.kv_heads,
            "llama.feed_forward_length": self.feed_forward,
            "llama.rope.dimension_count": self.head,
            "llama.context_length": self.context,
        }

    def tensors(self, vocabulary: int) -> Mapping[str, tuple[int, tuple[int, ...]]]:
        """Type and dimensions of each tensor."""
        wide, narrow = self.embedding, self.kv_heads * self.head
        block = {
            "attn_norm": (F32, (wide,)),
            "attn_q": (F16, (wide, wide)),
            "attn_k": (F16, (wide, narrow)),
            "attn_v": (F16, (wide, narrow)),
            "attn_output": (F16, (wide, wide)),
            "ffn_norm": (F32, (wide,)),
            "ffn_gate": (F16, (wide, self.feed_forward)),
            "ffn_up": (F16, (wide, self.feed_forward)),
            "ffn_down": (F16, (self.feed_forward, wide)),
        }
        blocks = {
            f"blk.{layer}.{name}.weight": tensor
            for layer in range(self.layers)
            for name, tensor in block.items()
        }
        return {
            "token_embd.weight": (F16, (wide, vocabulary)),
            "output_norm.weight": (F32, (wide,)),
            **blocks,
        }


def write(path: Path, shape: Shape, like: Path, *, random: bool = False) -> None:
    """A model of this shape, with the tokenizer of the model in the file `like`.

    With `random`, its matrices are random and quantized (Q4_1); its answers are random tokens.
    """
    kept, vocabulary = _tokenizer(like)
    settings = dict(kept)
    for key, number in shape.settings().items():
        settings[key] = struct.pack("<II", UINT32, number)
    settings["general.architecture"] = struct.pack("<I", STRING) + _text("llama")
    settings["llama.attention.layer_norm_rms_epsilon"] = struct.pack("<If", FLOAT32, 1e-5)
    tensors = {
        name: (Q4_1 if random and kind == F16 else kind, dimensions)
        for name, (kind, dimensions) in shape.tensors(vocabulary).items()
    }
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(settings))
    header += b"".join(_text(key) + value for key, value in settings.items())
    offset = 0
    for name, (kind, dimensions) in tensors.items():
        header += _text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        header += struct.pack("<IQ", kind, offset)
        offset = _aligned(offset + _size(kind, dimensions))
    with path.open("wb") as file:
        file.write(header)
        file.truncate(_aligned(len(header)) + offset)
        if random:
            file.seek(_aligned(len(header)))
            for kind, dimensions in tensors.values():
                _fill(file, kind, _size(kind, dimensions))


def _size(kind: int, dimensions: tuple[int, ...]) -> int:
    weights, size = BLOCKS[kind]
    return _product(dimensions) // weights * size


def _fill(file: BinaryIO, kind: int, size: int) -> None:
    """Write random blocks, the same again and again, or ones; end where the next tensor starts."""
    if kind == Q4_1:
        blocks = b"".join(SCALE + os.urandom(16) for _ in range(1 << 14))
    else:
        blocks = struct.pack("<f", 1.0) * (1 << 14)
    for start in range(0, size, len(blocks)):
        file.write(blocks[: size - start])
    file.seek(_aligned(file.tell()))


def _tokenizer(path: Path) -> tuple[dict[str, bytes], int]:
    """The keys of a file that make up its tokenizer, as they lie there, and the vocabulary."""
    found: dict[str, bytes] = {}
    vocabulary = 0
    with path.open("rb") as file:
        _, _, _, count = struct.unpack("<4sIQQ", file.read(24))
        for _ in range(count):
            key = file.read(struct.unpack("<Q", file.read(8))[0]).decode()
            start = file.tell()
            (kind,) = struct.unpack("<I", file.read(4))
            length = _skip(file, kind)
            if key == "tokenizer.ggml.tokens":
                vocabulary = length
            end = file.tell()
            if key.startswith("tokenizer."):
                file.seek(start)
                found[key] = file.read(end - start)
    return found, vocabulary


def _skip(file: BinaryIO, kind: int) -> int:
    """Move behind a value; the number of its parts."""
    if kind == STRING:
        file.seek(struct.unpack("<Q", file.read(8))[0], 1)
        return 1
    if kind != ARRAY:
        file.seek(FIXED[kind], 1)
        return 1
    part, count = struct.unpack("<IQ", file.read(12))
    for _ in range(count):
        _skip(file, part)
    return int(count)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _product(dimensions: tuple[int, ...]) -> int:
    product = 1
    for dimension in dimensions:
        product *= dimension
    return product
