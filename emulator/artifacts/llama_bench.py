"""llama-bench, which measures a model without Ollama: for `make bench` only.

From the same source, and compiled in the same way, as the programs with which Ollama runs models.
"""

from __future__ import annotations

from emulator.artifacts import paths, pins
from emulator.artifacts.artifact import Artifact, replace_file
from emulator.artifacts.ollama import LLAMA_CMAKE, compile_llama_cpp
from emulator.artifacts.work import Work


def build(work: Work) -> None:
    (program,) = compile_llama_cpp(work, ["llama-bench"])
    replace_file(program, paths.llama_bench())


ARTIFACT = Artifact(
    name="llama-bench",
    lane="processor",
    gib=3,
    recipe=(pins.LLAMA_CPP, *LLAMA_CMAKE),
    targets=(paths.llama_bench(),),
    build=build,
    optional=True,
)
