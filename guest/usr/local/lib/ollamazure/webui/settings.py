"""The settings that are declared for Open WebUI as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from webui.client import WebuiSession, say
from webui.container import run_in_container
from webui.errors import WebuiError
from webui.items import difference
from webui.knowledge import documents_not_read

SETTINGS = Path("/etc/ollamazure/open-webui.json")
# Exists when the defaults of a new instance were set; on the data disk, like what they set.
DEFAULTS_SET = Path("/srv/data/open-webui/begun")
# The settings that documents were last embedded with; on the data disk, like the documents.
EMBEDDED = Path("/srv/data/open-webui/embedded-with")
EMBEDDED_WITHIN = 6000  # seconds, for all documents; `pulumi up` waits for two hours
WHOLE_DOCUMENTS = "rag.bypass_embedding_and_retrieval"
EMBEDDING = (
    WHOLE_DOCUMENTS,
    "rag.embedding_engine",
    "rag.embedding_model",
    "rag.ollama.base_url",
)


def apply(webui: WebuiSession, declared: dict[str, Any]) -> None:
    """Sets the declared configuration; on a new instance, also its defaults."""
    wanted = dict(declared["config"])
    if not DEFAULTS_SET.exists():
        wanted = {**declared["defaults"], **wanted}
    if wanted.get("rag.embedding_engine") == "":
        require_model(wanted["rag.embedding_model"])
    DEFAULTS_SET.parent.mkdir(mode=0o700, exist_ok=True)
    if "rag.embedding_model" in wanted:
        # Before anything is set, so that a declaration that failed can still be withdrawn.
        EMBEDDED.touch()
    present = webui.get("/api/v1/configs/export")
    changes = changed_keys(present, wanted)
    if changes:
        webui.post("/api/v1/configs/import", {"config": changes})
        say(f"Set: {', '.join(sorted(changes))}.")
    if "rag.embedding_model" in wanted:
        embed(webui, {**present, **changes}, again=not changes.keys().isdisjoint(EMBEDDING))
    elif EMBEDDED.exists():
        # No embedding model is declared any more: models read whole documents again.
        webui.post("/api/v1/configs/import", {"config": {WHOLE_DOCUMENTS: True}})
        EMBEDDED.unlink()
    DEFAULTS_SET.touch()
    say("Open WebUI has what the settings declare.")


def require_model(model: str) -> None:
    """Checks that the model exists before anything changes: without it no document is found."""
    if not json.loads(run_in_container("can_embed", json.dumps(model))):
        raise WebuiError(
            f"{model} is missing, which Open WebUI's official image contains; unset"
            " `documentSearch`, and declare an embedding model in `models`, such as all-minilm:22m."
        )


def embed(webui: WebuiSession, config: dict[str, Any], *, again: bool) -> None:
    """Has all documents embedded by the declared model.

    Open WebUI changes the model only when it starts or by this request, never by its configuration
    alone. And a model finds only the documents that it embedded itself.
    """
    declared = json.dumps({key: config[key] for key in EMBEDDING}, sort_keys=True)
    if not again and EMBEDDED.read_text() == declared:
        return
    say(f"Embedding all documents with {config['rag.embedding_model']}.")
    webui.post(
        "/api/v1/retrieval/embedding/update",
        {
            "RAG_EMBEDDING_ENGINE": config["rag.embedding_engine"],
            "RAG_EMBEDDING_MODEL": config["rag.embedding_model"],
            "RAG_EMBEDDING_BATCH_SIZE": config["rag.embedding_batch_size"],
            "ENABLE_ASYNC_EMBEDDING": config["rag.enable_async_embedding"],
            "RAG_EMBEDDING_CONCURRENT_REQUESTS": config["rag.embedding_concurrent_requests"],
            "ollama_config": {
                "url": config["rag.ollama.base_url"],
                "key": config["rag.ollama.api_key"],
            },
        },
    )
    webui.call("POST", "/api/v1/knowledge/reindex", {}, answer_within=EMBEDDED_WITHIN)
    failed = documents_not_read(webui)
    if failed:
        raise WebuiError(f"{config['rag.embedding_model']} cannot embed {', '.join(failed)}.")
    EMBEDDED.write_text(declared)
    say(f"All documents are embedded with {config['rag.embedding_model']}.")


def changed_keys(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The wanted keys with another value; of a mapping, names that are not wanted stay."""
    merged = {key: merge(present.get(key), value) for key, value in wanted.items()}
    return {key: value for key, value in merged.items() if present.get(key) != value}


def merge(present: Any, wanted: Any) -> Any:
    if not isinstance(wanted, dict):
        return wanted
    base = present if isinstance(present, dict) else {}
    return {**base, **{key: merge(base.get(key), value) for key, value in wanted.items()}}


def drift(webui: WebuiSession) -> list[dict[str, str]]:
    """What differs from the declared settings."""
    present = webui.get("/api/v1/configs/export")
    changes = changed_keys(present, json.loads(SETTINGS.read_text())["config"])
    return [
        {"resource": "open-webui-settings", "what": what}
        for key, value in changes.items()
        for what in difference(key, present.get(key), value)
    ]
