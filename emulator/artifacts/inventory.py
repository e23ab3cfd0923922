"""All artifacts, in the order in which they are started."""

from __future__ import annotations

from emulator.artifacts import (
    actionlint,
    azure_cli,
    azure_sdks,
    azurite,
    dex,
    embedding_model,
    llama_bench,
    machine,
    model,
    nginx,
    ollama,
    open_webui,
    pulumi_cli,
)
from emulator.artifacts.artifact import Artifact

ALL: tuple[Artifact, ...] = (
    pulumi_cli.ARTIFACT,
    ollama.ARTIFACT,
    machine.ARTIFACT,
    model.ARTIFACT,
    open_webui.ARTIFACT,
    open_webui.FORMER,
    nginx.ARTIFACT,
    machine.LEAN,
    embedding_model.ARTIFACT,  # after Ollama, which makes it
    actionlint.ARTIFACT,
    dex.ARTIFACT,
    azurite.ARTIFACT,
    azure_cli.ARTIFACT,
    *azure_sdks.ARTIFACTS,
    llama_bench.ARTIFACT,
)
