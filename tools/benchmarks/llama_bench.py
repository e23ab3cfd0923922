"""llama-bench: how fast llama.cpp reads a prompt and writes an answer, without Ollama."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from emulator.artifacts import paths

_ONCE = ["--repetitions", "1", "--output", "json"]


@dataclass(frozen=True)
class TokenSpeeds:
    """Tokens a second."""

    reading: float
    writing: float


@dataclass(frozen=True)
class BenchOptions:
    """Options of llama-bench, with the values that Ollama gives llama-server on this machine."""

    threads: int
    batch: int = 512
    flash_attention: bool = True
    cache_type: str = "f16"
    memory_mapping: bool = False

    def arguments(self) -> list[str]:
        return [
            *("--threads", str(self.threads)),
            *("--batch-size", str(self.batch)),
            *("--ubatch-size", str(self.batch)),
            *("--flash-attn", "on" if self.flash_attention else "off"),
            *("--cache-type-k", self.cache_type, "--cache-type-v", self.cache_type),
            *("--load-mode", "mmap" if self.memory_mapping else "none"),
        ]


def run_llama_bench(model: Path, options: BenchOptions, prompt: int, answer: int) -> TokenSpeeds:
    """Read `prompt` tokens, and write `answer` ones after as many, once after a warm-up.

    Raises:
        FileNotFoundError: the program was not built.
        CalledProcessError: it failed.
    """
    program = paths.llama_bench()
    if not program.exists():
        raise FileNotFoundError(
            f"{program} is missing. Build it with: python -m emulator.artifacts build llama-bench"
        )
    tests = []
    for read, written, before in ((prompt, 0, 0), (0, answer, prompt)):
        lengths = ["--n-prompt", str(read), "--n-gen", str(written), "--n-depth", str(before)]
        printed = subprocess.run(
            [program, "--model", model, *lengths, *options.arguments(), *_ONCE],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        tests += json.loads(printed)
    return read_output(tests)


def read_output(tests: Sequence[Mapping[str, Any]]) -> TokenSpeeds:
    """The speeds in llama-bench's JSON: a test with a prompt, and one with an answer."""
    (reading,) = [test["avg_ts"] for test in tests if test["n_prompt"] and not test["n_gen"]]
    (writing,) = [test["avg_ts"] for test in tests if test["n_gen"] and not test["n_prompt"]]
    return TokenSpeeds(float(reading), float(writing))


def variations(base: BenchOptions) -> dict[str, BenchOptions]:
    """The base, and variations of it in one option each."""
    changed: dict[str, dict[str, Any]] = {
        "as deployed": {},
        "1 thread": {"threads": 1},
        "batch 128": {"batch": 128},
        "batch 256": {"batch": 256},
        "batch 1024": {"batch": 1024},
        "no flash attention": {"flash_attention": False},
        "cache q8_0": {"cache_type": "q8_0"},
        "memory mapping": {"memory_mapping": True},
    }
    kept = {field.name: getattr(base, field.name) for field in fields(base)}
    return {
        name: BenchOptions(**{**kept, **change})
        for name, change in changed.items()
        if name == "as deployed" or BenchOptions(**{**kept, **change}) != base
    }
