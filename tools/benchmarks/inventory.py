"""The benchmarks by name, in the order in which `make bench` runs them."""

from __future__ import annotations

from importlib import import_module

from tools.benchmarks.run import Benchmark

NAMES = (
    "preview",
    "change",
    "chat",
    "inference",
    "memory",
    "page",
    "growth",
    "load",
    "up",
    "backup",
)


def load(name: str) -> Benchmark:
    """The benchmark in the module of this name; only what runs is imported."""
    found: Benchmark = import_module(f"tools.benchmarks.{name}").BENCHMARK
    return found
