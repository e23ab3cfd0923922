"""llama-bench: its options, and what it prints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tools.benchmarks.llama_bench import BenchOptions, TokenSpeeds, read_output, variations

pytestmark = pytest.mark.unit

BASE = BenchOptions(threads=2)


def test_speeds_of_a_prompt_and_an_answer() -> None:
    printed = [
        {"n_prompt": 512, "n_gen": 0, "avg_ts": 610.5, "stddev_ts": 1.0},
        {"n_prompt": 0, "n_gen": 64, "avg_ts": 140.25, "stddev_ts": 1.0},
    ]
    assert read_output(printed) == TokenSpeeds(610.5, 140.25)
    with pytest.raises(ValueError, match="unpack"):
        read_output(printed[:1])


def test_options_of_the_command_line() -> None:
    arguments = replace(BASE, flash_attention=False, memory_mapping=True).arguments()
    pairs = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert pairs["--flash-attn"] == "off" and pairs["--load-mode"] == "mmap"
    assert pairs["--batch-size"] == pairs["--ubatch-size"] == "512"


def test_each_variation_changes_the_base() -> None:
    found = variations(BASE)
    assert found.pop("as deployed") == BASE
    assert BASE not in found.values()
    assert len(set(found.values())) == len(found) == 7
    # On one processor, one thread is what is deployed.
    assert "1 thread" not in variations(BenchOptions(threads=1))
